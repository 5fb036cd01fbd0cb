"""The page of a search: its value against each parameter, and every trial; HTML and SVG."""

from __future__ import annotations

import html
import math
from collections.abc import Mapping, Sequence
from typing import Any

from genloom.search_space import Parameter, Range
from genloom.trials import privacy

WIDTH, HEIGHT, MARGIN = 320, 200, 40
STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; margin: 2rem auto; max-width: 70rem; padding: 0 1rem }
svg { background: #8881; margin: 0 1rem 1rem 0 } circle { fill: #36c8 } .best { fill: #e60 }
text { font-size: 11px; fill: currentColor }
td, th { padding: .1rem .8rem .1rem 0; text-align: left }
:root { color-scheme: light dark }
"""


def page(content: Mapping[str, Any], space: Sequence[Parameter]) -> str:
    """One self-contained page.

    Args:
        content: What tune.json holds.
        space: What was searched.
    """
    done = [trial for trial in content["trials"] if trial["value"] is not None]
    best = content["best"]["folder"]
    pictures = "".join(_picture(parameter, done, best) for parameter in space)
    head = "".join(f"<th>{html.escape(p.key)}" for p in space)
    rows = "".join(_row(trial, space) for trial in content["trials"])
    model, data = content["recipe"]["model"]["use"], content["recipe"]["data"]["source"]
    title = html.escape(f"{len(content['trials'])} trials of {model} on {data}")
    told = content.get("private")
    spent = f"<p>{html.escape(privacy(told))}</p>" if told else ""
    return (
        f'<!doctype html><html lang="en"><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{STYLE}</style><h1>{title}</h1>"
        f"<p>Lower is better: {html.escape(content['measure'])}. The best of many values is a "
        f"little too good: judge {best} with <code>genloom evaluate</code>.</p>{spent}"
        f"{pictures}<table><tr><th>trial{head}<th>value<th>seconds{rows}</table></html>\n"
    )


def _row(trial: Mapping[str, Any], space: Sequence[Parameter]) -> str:
    values = "".join(f"<td>{_text(trial['values'][p.key])}" for p in space)
    result = trial["message"] if trial["value"] is None else f"{trial['value']:.5g}"
    seconds = f"{trial['seconds']:.0f}"
    return f"<tr><td>{trial['folder']}{values}<td>{html.escape(str(result))}<td>{seconds}"


def _text(value: Any) -> str:
    return html.escape(f"{value:.4g}" if isinstance(value, float) else str(value))


def _picture(parameter: Parameter, trials: Sequence[Mapping[str, Any]], best: str) -> str:
    """Value against one parameter; by its logarithm where it was searched so."""
    values = [trial["value"] for trial in trials]
    low, high = min(values), max(values)
    spots = []
    for trial in trials:
        x = MARGIN + _place(parameter, trial["values"][parameter.key]) * (WIDTH - 2 * MARGIN)
        y = MARGIN + (high - trial["value"]) / ((high - low) or 1.0) * (HEIGHT - 2 * MARGIN)
        kind = ' class="best"' if trial["folder"] == best else ""
        spots.append(f'<circle{kind} cx="{x:.1f}" cy="{y:.1f}" r="4"/>')
    ends = (parameter.low, parameter.high) if isinstance(parameter, Range) else parameter.values
    marks = "".join(
        f'<text x="{MARGIN + _place(parameter, end) * (WIDTH - 2 * MARGIN):.1f}" '
        f'y="{HEIGHT - 16}" text-anchor="middle">{_text(end)}</text>'
        for end in ends
    )
    key = html.escape(parameter.key)
    return (
        f'<svg width="{WIDTH}" height="{HEIGHT}" role="img" aria-label="value against {key}">'
        f'<text x="8" y="16">{key}</text><text x="4" y="{MARGIN}">{high:.4g}</text>'
        f'<text x="4" y="{HEIGHT - MARGIN}">{low:.4g}</text>{marks}{"".join(spots)}</svg>'
    )


def _place(parameter: Parameter, value: Any) -> float:
    """Where a value stands from left to right, in [0, 1]."""
    if not isinstance(parameter, Range):
        return parameter.values.index(value) / (len(parameter.values) - 1)
    if parameter.log:
        return math.log(value / parameter.low) / math.log(parameter.high / parameter.low)
    return (value - parameter.low) / (parameter.high - parameter.low)
