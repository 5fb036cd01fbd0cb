"""A filter under guard: it has a time limit, and whatever goes wrong with it is a refusal.

The check runs in a thread of its own, and the caller stops waiting at the limit. A thread cannot
be killed, so one that never ends is left behind; while too many of a filter are left behind, it
refuses at once instead of starting more. Code that holds the interpreter lock for long would keep
the caller from noticing the time: `patterns` therefore runs elsewhere.
"""

from __future__ import annotations

import logging
import queue
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from torch import Tensor

from genloom.safety.policy.verdict import FAILED, Counters, Filter, Outcome, Verdict

LEFT_BEHIND = 4  # checks of one filter that may be over their time and still running
_log = logging.getLogger("genloom.safety")


@dataclass
class Guarded:
    """A filter as a policy uses it.

    Args:
        name: Of the filter in this policy.
        filter: What checks.
        timeout_s: Wall-clock seconds for one batch.
        counters: Where verdicts are counted.
        models: Names of the models whose items it checks; empty for all.
        without: Names of those whose items it cannot check, where it checks all.
    """

    name: str
    filter: Filter
    timeout_s: float
    counters: Counters
    models: tuple[str, ...] = ()
    without: frozenset[str] = frozenset()
    _late: set[threading.Thread] = field(default_factory=set, repr=False)

    def check(self, batch: Sequence[str] | Tensor, kind: str) -> list[Outcome]:
        """One outcome for each of the batch; refusals where the filter fails."""
        try:
            outcomes = self._in_time(batch)
            problem = _nonsense(outcomes, len(batch))
        except Exception as error:  # a filter's failure, of any kind, must not let an item pass
            problem, outcomes = f"{type(error).__name__}: {error}", []
        if problem:
            # repr keeps line breaks of whatever the message quotes out of the log
            _log.warning("filter %s failed: %r", self.name, problem[:300])
            outcomes = [Outcome(Verdict.REFUSE, FAILED, 0.0)] * len(batch)
            self.counters.add(self.name, ["failed"] * len(batch))
        self.counters.add(self.name, [str(o.verdict) for o in outcomes])
        category = self.filter.category
        return [replace(o, filter=self.name, category=category, applied=kind) for o in outcomes]

    def _in_time(self, batch: Sequence[str] | Tensor) -> Any:
        self._late = {thread for thread in self._late if thread.is_alive()}
        if len(self._late) >= LEFT_BEHIND:
            raise TimeoutError(f"{len(self._late)} earlier checks have not ended")
        answers: queue.SimpleQueue[tuple[Any, BaseException | None]] = queue.SimpleQueue()

        def work() -> None:
            try:
                answers.put((self.filter.check(batch), None))
            except BaseException as error:  # it is raised again where it can be seen
                answers.put((None, error))

        thread = threading.Thread(target=work, name=f"filter {self.name}", daemon=True)
        thread.start()
        try:
            found, error = answers.get(timeout=self.timeout_s)
        except queue.Empty:
            self._late = {*self._late, thread}
            raise TimeoutError(f"no answer within {self.timeout_s} s") from None
        if error is not None:
            raise RuntimeError(f"{type(error).__name__}: {error}") from error
        return found


def _nonsense(outcomes: Any, n: int) -> str:
    """What is wrong with a filter's answer; empty where nothing is."""
    if not isinstance(outcomes, list) or len(outcomes) != n:
        return f"{n} outcomes are due"
    if not all(isinstance(o, Outcome) and o.valid() for o in outcomes):
        return "an outcome is not a verdict, a reason and a score in [0, 1]"
    return ""
