"""A private run's way to its rows: coins that nobody can toss again, every step paid for."""

from __future__ import annotations

from dataclasses import replace
from typing import Any, final

import torch
from torch import Tensor

from genloom import checkpoint
from genloom.access import Access
from genloom.core import Condition
from genloom.errors import BadInput, Diverged
from genloom.learner import Micro
from genloom.private.gradients import poisson
from genloom.private.mechanisms import Mechanism, mechanism, stand_ins
from genloom.rehearsal import Forecast


@final
class Private(Access):
    """See `genloom.private`; `private.check_run` has accepted the run."""

    watched = False
    paid = 0  # steps that epsilon counts, also those that a kill undid

    @property
    def mechanism(self) -> Mechanism:
        """By which the learner moves, once the run has begun."""
        assert self.learner.mechanism is not None
        return self.learner.mechanism

    def first(self, n: int) -> tuple[Tensor, Condition]:
        """Stand-ins; and the learner gets a mechanism to rehearse by."""
        self._move_by(self.plan.options.planned or 1)
        return stand_ins(self.plan.dataset.items, n)

    def rehearsed(self, index: int) -> list[Micro]:
        """Stand-ins: what the rehearsal draws and times must say nothing of rows."""
        size = self.plan.options.batch
        x, cond = self.encode(*stand_ins(self.plan.dataset.items, size))
        return [Micro(x, cond, 0, size, range(size))]

    def micros(self, index: int) -> list[Micro]:
        """The rows of a step, drawn as `private.epsilon` assumes; nobody knows the seed."""
        torch.seed()
        choice = torch.Generator()
        choice.seed()
        dataset, n = self.plan.dataset, len(self.plan.dataset.train)
        ids = poisson(n, self.plan.options.batch / n, choice)
        items, cond = dataset.train.items[ids], dataset.train.given(ids)
        x, cond = self.encode(*dataset.augmented(items, cond))
        return [Micro(x, cond, 0, len(ids), ids)]

    def check_new(self) -> None:
        """Refuse to begin again in the folder where steps of a run are counted."""
        told = self.record["private"]
        if told is not None and told["steps"] > 0:
            raise BadInput(
                f"{self.record.path.parent} has no checkpoint that verifies, and {told['steps']} "
                "private steps were taken in it. Bring its checkpoints back, or choose another "
                "--out; that run is paid for on top of this one."
            )

    def settle(self, steps: int) -> None:
        """Take the noise that so many steps need, and say what they will cost."""
        self._move_by(steps)
        self.record.update(private=self.mechanism.told(0))
        self.say(f"{self.plan.name}: {self.mechanism.words(steps)}")

    def resumed(self, forecast: Forecast, step: int) -> Forecast:
        """The forecast less the steps that a kill undid: they are paid for."""
        told = self.record["private"]
        self.learner.mechanism = Mechanism.of(told)
        self.paid = max(told["steps"], step)  # where an older run.json was brought back
        undone = self.paid - step
        left = replace(forecast, steps=forecast.steps - undone)
        if undone:
            self.record.update(total=left.steps)
            self.say(
                f"{self.plan.name}: {undone} private steps were undone and count: the run ends at "
                f"step {left.steps}."
            )
        return left

    def pay(self) -> None:
        """Count a step, on the disk itself, before anything is computed from its rows."""
        self.paid += 1
        self.record.update(private=self.mechanism.told(self.paid))
        checkpoint.sync(self.record.path.parent)

    def check_back(self, error: Diverged) -> None:
        """Give up at once: the steps that the run would take again are paid for."""
        raise Diverged(
            f"{error} A private run does not go back, for every step counts. Try a smaller "
            "train.lr, less noise or a larger train.batch, in another --out."
        )

    def figures(self, figures: dict[str, float]) -> str:
        """Epsilon, for there are no losses."""
        return f"epsilon {self.mechanism.epsilon(self.paid):.3g}"

    def sign(self, card: dict[str, Any]) -> None:
        """What was spent; no fingerprint of the data, which would confirm a guess at all rows."""
        card["training"]["private"] = self.mechanism.told(self.paid)
        del card["data"]["fingerprint"]

    def _move_by(self, steps: int) -> None:
        dataset = self.plan.dataset
        self.learner.mechanism = mechanism(self.plan.options, len(dataset.train), steps)
