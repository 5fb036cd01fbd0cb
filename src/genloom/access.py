"""How a run comes by its training rows, and what it may tell of them."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, final

from torch import Tensor

from genloom.core import Condition, rows
from genloom.errors import Diverged
from genloom.learner import Learner, Micro, reseed
from genloom.record import Record
from genloom.rehearsal import Forecast

if TYPE_CHECKING:
    from genloom.recipe import Plan

Encode = Callable[[Tensor, Condition], tuple[Tensor, Condition]]


@dataclass
class Access(ABC):
    """One run's way to its rows; the trainer asks it wherever ways differ.

    Args:
        plan: Of the run.
        learner: That moves by the rows.
        record: Where the run stands.
        encode: Stored items and their conditions -> what the model sees, on its device.
        say: Tells a line to the person who waits.
        rank: Of this process.
        world: How many processes there are.
    """

    watched: ClassVar[bool]
    """Whether losses and signs of health, which look at rows, may ring an alarm."""

    plan: Plan
    learner: Learner
    record: Record
    encode: Encode
    say: Callable[[str], None]
    rank: int
    world: int

    @abstractmethod
    def first(self, n: int) -> tuple[Tensor, Condition]:
        """Up to n items and their conditions, for `Generative.prepare` to look at."""

    @abstractmethod
    def rehearsed(self, index: int) -> list[Micro]:
        """What step `index` of the rehearsal learns from."""

    @abstractmethod
    def micros(self, index: int) -> list[Micro]:
        """This process's share of the batch of a step."""

    @abstractmethod
    def check_new(self) -> None:
        """Before the rehearsal of a run that has no checkpoint yet."""

    @abstractmethod
    def settle(self, steps: int) -> None:
        """After the rehearsal, when the steps of the run are known."""

    @abstractmethod
    def resumed(self, forecast: Forecast, step: int) -> Forecast:
        """The forecast of a run that goes on from `step`."""

    @abstractmethod
    def pay(self) -> None:
        """Before the rows of a step are looked at."""

    @abstractmethod
    def check_back(self, error: Diverged) -> None:
        """Before a run goes back to its last checkpoint because of `error`."""

    @abstractmethod
    def figures(self, figures: dict[str, float]) -> str:
        """What the progress line shows of the figures of a step."""

    @abstractmethod
    def sign(self, card: dict[str, Any]) -> None:
        """Complete the card of the artifact."""


@final
class Open(Access):
    """Shuffled epochs; the order and all draws follow from the seed, and everything is watched."""

    watched = True

    def first(self, n: int) -> tuple[Tensor, Condition]:
        """The first rows of the first epoch."""
        items, cond, _ = self.plan.dataset.train.batch(0, n, self.plan.options.seed)
        return items, cond

    def rehearsed(self, index: int) -> list[Micro]:
        """The rows of the run itself."""
        return self.micros(index)

    def micros(self, index: int) -> list[Micro]:
        """Equal parts, one after the other, of the batch at this place of the order."""
        options, parts = self.plan.options, self.plan.options.accumulate * self.world
        size = options.batch // parts
        micros = []
        for k in range(options.accumulate):
            part = self.rank * options.accumulate + k
            position = index * parts + part
            items, cond, ids = self.plan.dataset.train.batch(position, size, options.seed)
            reseed(options.seed, index, "items")
            with rows(part * size, options.batch):
                x, cond = self.encode(*self.plan.dataset.augmented(items, cond))
            micros.append(Micro(x, cond, part * size, options.batch, ids))
        return micros

    def check_new(self) -> None:
        """Any run may begin again."""

    def settle(self, steps: int) -> None:
        """Nothing depends on the steps."""

    def resumed(self, forecast: Forecast, step: int) -> Forecast:
        """As it was: steps that a kill undid are taken again."""
        return forecast

    def pay(self) -> None:
        """Looking costs nothing."""

    def check_back(self, error: Diverged) -> None:
        """Any run may go back."""

    def figures(self, figures: dict[str, float]) -> str:
        """The losses."""
        return " ".join(f"{k} {v:.4g}" for k, v in figures.items() if not k.endswith("grad_norm"))

    def sign(self, card: dict[str, Any]) -> None:
        """It is complete."""
