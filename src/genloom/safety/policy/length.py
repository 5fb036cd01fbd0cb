"""The longest text that may come in."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, final

from genloom.core import Interval
from genloom.safety.policy.schema import VerdictName
from genloom.safety.policy.verdict import ALLOWED, Outcome, Verdict


@final
class Length:
    """The filter `use = "length"`.

    Args:
        folder: Of the policy file.
        most: Characters that pass.
        verdict: Of a longer text.
    """

    reads = ("text",)
    category = "length"

    def __init__(
        self,
        folder: Path,
        *,
        most: Annotated[int, Interval(ge=1)],
        verdict: VerdictName = "refuse",
    ):
        self.most, self.verdict = most, Verdict(verdict)

    def check(self, batch: Sequence[str]) -> list[Outcome]:
        """An outcome for each text."""
        too_long = Outcome(self.verdict, f"longer than {self.most} characters", 1.0)
        return [too_long if len(text) > self.most else ALLOWED for text in batch]
