"""What a likelihood of text is read beside: compressors and an n-gram."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genloom.report.numbers import number, together
from genloom.report.reading import Subject

Dict = Mapping[str, Any]


def told(column: Dict) -> list[str]:
    """What they need for the same text, the best first; empty for other measures."""
    known = sorted(column.get("baselines", {}).items(), key=lambda named: named[1])
    return [f"{name} ({number(value)})" for name, value in known]


def against(column: Dict, known: Sequence[tuple[Subject, Dict]]) -> list[str]:
    """Them in a sentence, and who is shown to be better than the best of them.

    Args:
        column: Of the table.
        known: Who has the measure, and its figures.
    """
    names = told(column)
    if not names:
        return []
    least = min(column["baselines"].values())
    ahead = [subject.name for subject, cell in known if cell["high"] < least]
    line = f"Beside it: {together(names)}."
    if not ahead:
        return [line, f"Not shown to be better than {names[0]}."]
    who = "It is" if len(known) == 1 else f"{together(ahead)} {'is' if len(ahead) == 1 else 'are'}"
    return [line, f"{who} better than all of these."]
