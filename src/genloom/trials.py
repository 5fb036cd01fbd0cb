"""What a search tried and found, as tune.json holds it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from genloom.private import composed

CHOICE = (
    "the choice among the trials: it looks at validation items, and where the measure is KID at "
    "features that learned from the training rows"
)


@dataclass
class Trial:
    """One training.

    Args:
        folder: Its run, below the search's folder.
        values: What was tried, by key.
        status: "running", "done" or "failed".
        value: The measure, lower is better; None until it is done.
        message: Why it failed.
        seconds: Of training.
        spent: Epsilon and delta of a private training.
    """

    folder: str
    values: dict[str, Any]
    status: str = "running"
    value: float | None = None
    message: str = ""
    seconds: float = 0.0
    spent: dict[str, float] | None = None

    def __str__(self) -> str:
        """One line: what was tried, and what came of it."""
        tried = ", ".join(
            f"{key} = {value:.4g}" if isinstance(value, float) else f"{key} = {value}"
            for key, value in self.values.items()
        )
        return f"{tried}: {self.message if self.value is None else f'{self.value:.5g}'}"


@dataclass(frozen=True)
class Tuning:
    """What a search found.

    Args:
        out: Its folder: trial-NN/, tune.json, best.toml and tune.html.
        facts: Recipe, search, measure and seed: what makes it this search and no other.
        trials: In the order in which they were made.
    """

    out: Path
    facts: dict[str, Any]
    trials: list[Trial]

    @property
    def done(self) -> list[Trial]:
        """The trials that have a value, the best one first."""
        return sorted((t for t in self.trials if t.value is not None), key=lambda t: t.value or 0.0)

    @property
    def best(self) -> Trial:
        """The trial with the smallest value."""
        return self.done[0]

    @property
    def private(self) -> dict[str, Any] | None:
        """What the trials spent together, for the best one was chosen by all of them.

        None where one that looked at the rows was not private. See `genloom.private.composed`.
        """
        looked = (
            t
            for t in self.trials
            if t.spent or t.value is not None or (self.out / t.folder / "run.json").is_file()
        )
        told = composed(t.spent for t in looked)
        return told and {**told, "uncovered": [*told["uncovered"], CHOICE]}

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON; it speaks of privacy only where the trials were private."""
        trials = [
            {k: v for k, v in asdict(t).items() if k != "spent" or v is not None}
            for t in self.trials
        ]
        best = trials[self.trials.index(self.best)] if self.done else None
        told = self.private
        return {
            **self.facts,
            "trials": trials,
            "best": best,
            **({"private": told} if told else {}),
        }


def privacy(told: Mapping[str, Any]) -> str:
    """What the trials of a private search spent, for people; see `Tuning.private`."""
    return (
        f"Private: epsilon {told['epsilon']:.4g} at delta {told['delta']:.2g}, the sum over the "
        f"trials ({told['trainings']})."
    )
