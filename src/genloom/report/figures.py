"""Curves and clouds as inline SVG; colours come from the page's style, light or dark."""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from itertools import pairwise

from markupsafe import Markup

from genloom.molecules.depiction import draw, size_of

POINTS = 160  # of a curve, after averaging neighbours
WIDTH, HEIGHT = 600, 160
MARGIN = 8  # around the outermost points of a figure of steps
Curve = Sequence[tuple[float, float]]


def thinned(curve: Curve, most: int = POINTS) -> list[tuple[float, float]]:
    """At most `most` points: the means of equal stretches."""
    n = len(curve)
    if n <= most:
        return list(curve)
    edges = [i * n // most for i in range(most + 1)]
    return [_mean(curve[a:b]) for a, b in pairwise(edges)]


def _mean(part: Curve) -> tuple[float, float]:
    return sum(x for x, _ in part) / len(part), sum(y for _, y in part) / len(part)


def span(curves: Sequence[Curve]) -> tuple[float, float]:
    """The range of y that a figure shows: all but the first tenth, in which losses fall steeply."""
    values = sorted(y for curve in curves for _, y in curve[len(curve) // 10 :])
    low, high = values[len(values) // 100], values[-1 - len(values) // 100]
    if high - low < 1e-12 * max(abs(low), abs(high), 1.0):
        low, high = low - 0.5, high + 0.5
    margin = 0.06 * (high - low)
    return low - margin, high + margin


def lines(curves: Sequence[Curve], low: float, high: float) -> Markup:
    """Curves over a common x axis; line i has the class `line-i`. The page states the range."""
    xs = [x for curve in curves for x, _ in curve]
    left, right = min(xs), max(xs)
    wide = right - left or 1.0
    drawn = []
    for i, curve in enumerate(curves):
        spots = [
            f"{(x - left) / wide * WIDTH:.1f},{_level(y, low, high):.1f}" for x, y in thinned(curve)
        ]
        if len(spots) == 1:
            spots = [f"0,{spots[0].partition(',')[2]}", f"{WIDTH},{spots[0].partition(',')[2]}"]
        drawn.append(f'<polyline class="line-{i}" points="{" ".join(spots)}"/>')
    return _svg(drawn)


def _svg(drawn: Sequence[str]) -> Markup:
    """Shapes over three rules."""
    rules = "".join(
        f'<line class="rule" x1="0" x2="{WIDTH}" y1="{y:g}" y2="{y:g}"/>'
        for y in (0.5, HEIGHT / 2, HEIGHT - 0.5)
    )
    return Markup(
        f'<svg class="curves" viewBox="0 0 {WIDTH} {HEIGHT}" preserveAspectRatio="none" '
        f'aria-hidden="true">{rules}{"".join(drawn)}</svg>'
    )


def steps(
    points: Sequence[Mapping[str, float]], floor: float | None, low: float, high: float
) -> Markup:
    """Values with their intervals over counts of steps, both on logarithmic scales.

    Args:
        points: `steps`, `value`, `low`, `high` of each, in the order of their steps.
        floor: Where real data stand; a dashed line.
        low: Bottom of the figure, above 0; what is less is drawn there.
        high: Top of it.
    """

    def level(value: float) -> float:
        share = math.log(max(value, low) / low) / math.log(high / low)
        return HEIGHT - MARGIN - min(share, 1.0) * (HEIGHT - 2 * MARGIN)

    first, last = (math.log(points[i]["steps"]) for i in (0, -1))
    wide = last - first or 1.0
    drawn, spots = [], []
    for p in points:
        x = 2 * MARGIN + (math.log(p["steps"]) - first) / wide * (WIDTH - 4 * MARGIN)
        bottom, middle, top = (level(p[key]) for key in ("low", "value", "high"))
        spots.append(f"{x:.1f},{middle:.1f}")
        drawn += [_upright("spread", x, bottom, top), _upright("spot", x, middle, middle)]
    if floor is not None:
        y = level(floor)
        drawn.append(f'<line class="floor" x1="0" x2="{WIDTH}" y1="{y:.1f}" y2="{y:.1f}"/>')
    return _svg([f'<polyline class="line-0" points="{" ".join(spots)}"/>', *drawn])


def _upright(kind: str, x: float, bottom: float, top: float) -> str:
    return f'<line class="{kind}" x1="{x:.1f}" x2="{x:.1f}" y1="{bottom:.1f}" y2="{top:.1f}"/>'


def _level(y: float, low: float, high: float) -> float:
    """Down from the top; what is out of range runs off the figure."""
    y = min(max(y, low - (high - low)), high + (high - low))
    return (high - y) / (high - low) * HEIGHT


def cloud(points: Sequence[Sequence[float]], window: Sequence[float], title: str) -> Markup:
    """Points in the plane, in a window (left, right, bottom, top) shared by a page."""
    left, right, bottom, top = window
    spots = []
    for x, y in points:
        a, b = (x - left) / (right - left) * 200, (top - y) / (top - bottom) * 200
        if 0 <= a <= 200 and 0 <= b <= 200:
            spots.append(f'<circle cx="{a:.1f}" cy="{b:.1f}" r="1.6"/>')
    label = Markup("{}").format(title)
    return Markup(
        f'<svg class="cloud" viewBox="0 0 200 200" role="img" aria-label="{label}">'
        f"{''.join(spots)}</svg>"
    )


def window(clouds: Sequence[Sequence[Sequence[float]]]) -> tuple[float, float, float, float]:
    """A square window around all points of the first cloud (the real data), with a margin."""
    points = clouds[0]
    xs, ys = [p[0] for p in points], [p[1] for p in points]
    middle_x, middle_y = (min(xs) + max(xs)) / 2, (min(ys) + max(ys)) / 2
    half = 0.6 * max(max(xs) - min(xs), max(ys) - min(ys), 1e-9)
    return middle_x - half, middle_x + half, middle_y - half, middle_y + half


def png_size(uri: str) -> tuple[int, int]:
    """Width and height of a PNG in a data URI, from its header; (0, 0) if it has none."""
    head = base64.b64decode(uri.partition(",")[2][:64])
    if len(head) < 24 or head[12:16] != b"IHDR":
        return 0, 0
    return int.from_bytes(head[16:20], "big"), int.from_bytes(head[20:24], "big")


def molecules(smiles: Sequence[str], columns: int = 3) -> tuple[str, int, int]:
    """A sheet of drawings as a data URI, with its width and height.

    As a picture it runs nothing, whatever it holds.

    Raises:
        MissingExtra: RDKit is not installed.
    """
    drawn = base64.b64encode(draw(smiles, columns).encode()).decode()
    return f"data:image/svg+xml;base64,{drawn}", *size_of(len(smiles), columns)
