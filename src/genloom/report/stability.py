"""Whether training was stable: gradient norms, and what a model tells of its own health."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genloom.report import figures
from genloom.report.numbers import decimals, duration, number
from genloom.report.reading import HEALTH, Subject
from genloom.report.vitals import GRADIENTS, VITALS, Vital

Dict = Mapping[str, Any]
LINES = 6  # curves in one figure


def stability(people: Sequence[Subject]) -> tuple[list[dict[str, Any]], list[dict[str, Any]]]:
    """The figures of the first run of each, and those of the others, where a journal has them."""
    first, others = [], []
    for subject in people:
        for i, (verdict, run) in enumerate(zip(subject.verdicts, subject.runs)):
            seed = f"seed {verdict['train_seed']}" if len(subject.verdicts) > 1 else ""
            (others if i else first).extend(
                _card(subject, seed, vital, named) for vital, named in _figures(run)
            )
    return first, others


def _figures(run: Dict) -> list[tuple[Vital, dict[str, Any]]]:
    """What one run shows: a figure, and its curves by what the legend calls them."""
    known = {curve["name"]: curve["points"] for curve in run.get("vitals") or ()}
    norms = {_player(name): p for name, p in known.items() if name.endswith("grad_norm")}
    own = {name.removeprefix(HEALTH): p for name, p in known.items() if name.startswith(HEALTH)}
    found: list[tuple[Vital, dict[str, Any]]] = [(GRADIENTS, norms)] if norms else []
    for vital in VITALS:
        curves = {told: own.pop(name) for name, told in vital.names.items() if name in own}
        if curves:
            found.append((vital, curves))
    for name, points in own.items():
        found.append((Vital(name.replace("_", " ").capitalize(), "", {}), {name: points}))
    return found


def _player(name: str) -> str:
    """Whose gradient it is."""
    return name.removesuffix("grad_norm").rstrip("/") or "the model"


def _card(subject: Subject, seed: str, vital: Vital, named: Dict) -> dict[str, Any]:
    names = list(named)[:LINES]
    drawn = [[(float(x), float(y)) for x, y in named[name]] for name in names]
    low, high = figures.span(drawn)
    digits = decimals((high - low) / 40)
    end = max(x for curve in drawn for x, _ in curve)
    last = {name: number(curve[-1][1]) for name, curve in zip(names, drawn)}
    return {
        **subject.who,
        "title": vital.title,
        "plain": vital.plain,
        "about": seed,
        "alt": f"{vital.title} of {subject.name} over {duration(end)}: "
        + ", ".join(f"{name} ends at {value}" for name, value in last.items()),
        "svg": figures.lines(drawn, low, high),
        "top": number(high, digits),
        "bottom": number(low, digits),
        "right": duration(end),
        "legend": [{"name": name, "last": value} for name, value in last.items()],
    }
