"""Quality against steps: how near samples come with few steps, and what each step costs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from genloom.metrics.steps import settled
from genloom.report import figures
from genloom.report.numbers import decimals, interval, number
from genloom.report.reading import Subject
from genloom.report.words import measure

Dict = Mapping[str, Any]


def quality(people: Sequence[Subject]) -> list[dict[str, Any]]:
    """A card for each whose verdict has a curve; all on one scale."""
    known = [(s, v) for s in people for v in s.verdicts[:1] if v.get("steps_curve")]
    if not known:
        return []
    low, high = _scale([v["steps_curve"] for _, v in known])
    return [_card(subject, verdict, low, high) for subject, verdict in known]


def _scale(curves: Sequence[Dict]) -> tuple[float, float]:
    """Bounds of a logarithmic scale: from what the measure can tell apart to its greatest value.

    A distance that is an unbiased estimate may fall below 0; nothing under half of the narrowest
    interval means more than that half does.
    """
    points = [p for curve in curves for p in curve["points"]]
    halves = [(p["high"] - p["low"]) / 2 for p in points]
    low = min((half for half in halves if half > 0), default=1e-6)
    high = max(*(p["high"] for p in points), 10 * low)
    return low, high


def _card(subject: Subject, verdict: Dict, low: float, high: float) -> dict[str, Any]:
    curve = verdict["steps_curve"]
    points, words = curve["points"], measure(curve["name"])
    solver = (verdict.get("sample_options") or {}).get("solver")
    digits = [decimals((p["high"] - p["low"]) / 2, p["value"]) for p in points]
    rows = [
        {
            "steps": number(p["steps"], 0),
            "evaluations": number(p["evaluations"], 0 if p["evaluations"] % 1 == 0 else 1),
            "value": number(p["value"], places),
            "interval": interval(p["low"], p["high"], places),
            "cost": _cost(p["seconds"]),
        }
        for p, places in zip(points, digits)
    ]
    ends = [f"{p['steps']} step{'s' if p['steps'] > 1 else ''}" for p in (points[0], points[-1])]
    return {
        **subject.who,
        "measure": words.title,
        "about": f"solver {solver}" if solver else "",
        "alt": f"{words.title} of {subject.name} against steps: "
        + ", ".join(f"{row['value']} at {row['steps']}" for row in rows),
        "svg": figures.steps(points, curve["floor"], low, high),
        "top": number(high),
        "bottom": f"{number(low, decimals(low))} or less",
        "left": ends[0],
        "right": ends[-1] if len(points) > 1 else "",
        "floor": None if curve["floor"] is None else number(curve["floor"], max(digits)),
        "rows": rows,
        "conclusion": _conclusion(points),
        "n": number(curve["n"], 0),
    }


def _cost(seconds: float) -> str:
    """Of one sample, with its unit."""
    if seconds >= 1:
        return f"{number(seconds, 1)} s"
    return f"{number(1000 * seconds, max(0, 1 - math.floor(math.log10(1000 * seconds or 1))))} ms"


def _conclusion(points: Sequence[Dict]) -> str:
    """From how many steps on more of them show no gain."""
    if len(points) == 1:
        return "One count of steps says nothing of others."
    first = settled([dict(p) for p in points])
    best = min(points, key=lambda point: point["value"])["steps"]
    if first is None and best != points[-1]["steps"]:
        return f"Best at {best} step{'s' if best > 1 else ''}: more of them do worse."
    if first is None:
        return "The last count is the best: more steps may still help."
    steps = "step" if first == 1 else "steps"
    return f"From {first} {steps} on, no more of them is shown to help."
