"""Typed verdicts: what a filter says of one item, and what a policy decides from all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from threading import Lock
from typing import Any, Protocol

FAILED = "filter failed"


class Verdict(StrEnum):
    """What is to be done with an item, from mildest to strictest.

    ALLOW: nothing was found. FLAG: let it pass, and note it. HOLD: keep it until a person has
    looked. REFUSE: it goes no further.
    """

    ALLOW = "allow"
    FLAG = "flag"
    HOLD = "hold"
    REFUSE = "refuse"

    @property
    def rank(self) -> int:
        """0 for the mildest."""
        return list(Verdict).index(self)


@dataclass(frozen=True)
class Outcome:
    """What one filter says of one item.

    Reasons are made of the filter's own words and the operator's; never of the item's text.

    Args:
        verdict: Of this filter.
        reason: Why, in words; empty where it allows.
        score: How sure, in [0, 1]; of the category that the filter looks for.
        spans: (start, end) of what was found, in characters of the text as it was given.
        filter: Its name; the policy fills it in.
        category: What the filter looks for; the policy fills it in.
        applied: "text", "image" or "points": what it looked at; the policy fills it in.
    """

    verdict: Verdict
    reason: str = ""
    score: float = 0.0
    spans: tuple[tuple[int, int], ...] = ()
    filter: str = ""
    category: str = ""
    applied: str = ""

    def valid(self) -> bool:
        """Whether a filter may answer this: its types, and a score that is a share."""
        return (
            isinstance(self.verdict, Verdict)
            and isinstance(self.reason, str)
            and isinstance(self.score, int | float)
            and 0 <= self.score <= 1  # NaN is not
            and isinstance(self.spans, tuple)
        )


ALLOWED = Outcome(Verdict.ALLOW)


@dataclass(frozen=True)
class Decision:
    """What a policy decides about one item: the strictest verdict of its filters.

    Args:
        outcomes: One for each filter that looked at the item, in the order of the policy.
    """

    outcomes: tuple[Outcome, ...] = ()

    @property
    def verdict(self) -> Verdict:
        """The strictest; ALLOW where no filter looked."""
        return max((o.verdict for o in self.outcomes), key=lambda v: v.rank, default=Verdict.ALLOW)

    @property
    def passes(self) -> bool:
        """Whether the item goes on now: it is allowed, or flagged and allowed."""
        return self.verdict in (Verdict.ALLOW, Verdict.FLAG)

    @property
    def findings(self) -> tuple[Outcome, ...]:
        """The outcomes that are not ALLOW, the strictest first."""
        found = [o for o in self.outcomes if o.verdict is not Verdict.ALLOW]
        return tuple(sorted(found, key=lambda o: -o.verdict.rank))

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; what was found in the text is not repeated."""
        return {
            "verdict": str(self.verdict),
            "findings": [
                {"filter": o.filter, "verdict": str(o.verdict), "reason": o.reason}
                for o in self.findings
            ],
        }


class Filter(Protocol):
    """A filter: any object with these."""

    @property
    def reads(self) -> tuple[str, ...]:
        """Kinds that it can look at: of "text", "image", "points"."""
        ...

    @property
    def category(self) -> str:
        """What it looks for: one of the moderation categories, or a word of its own."""
        ...

    def check(self, batch: Any) -> list[Outcome]:
        """One outcome for each of a list of texts or a tensor of items (B, *shape)."""
        ...


@dataclass
class Counters:
    """How often each filter gave each verdict; may be used from many threads."""

    _counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    _lock: Lock = field(default_factory=Lock, repr=False)

    def add(self, name: str, what: Sequence[str]) -> None:
        """Count one more of each of `what` for a filter."""
        with self._lock:
            self._counts.update((name, word) for word in what)

    def snapshot(self) -> dict[tuple[str, str], int]:
        """(filter, verdict) -> count; "failed" counts the refusals of filters that failed."""
        with self._lock:
            return {(name, str(what)): count for (name, what), count in self._counts.items()}
