"""What a run folder tells, and curves as pictures."""

from __future__ import annotations

import json
import re

import pytest

from genloom.report import describe_run, figures
from genloom.report.reading import commit, curves, vitals


def test_curves_of_a_journal(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": 1, "d/loss": 2.0, "d/grad_norm": 9.0, "seconds": 0.5, "items_per_s": 10.0},
        {"step": 2, "alarm": "collapse", "value": 0.1, "message": "x"},
        {"step": 2, "valid/loss": 3.0},
        {"step": 2, "d/loss": 1.0, "seconds": 1.0},
    ]
    path.write_text("\n".join(map(json.dumps, lines)) + '\n{"step": 3, "d/lo')
    assert curves(path) == [
        {"name": "d/loss", "points": [[0.5, 2.0], [1.0, 1.0]]},
        {"name": "valid/loss", "points": [[0.5, 3.0]]},
    ]


def test_gradient_norms_and_health_are_apart_from_the_losses(tmp_path):
    path = tmp_path / "metrics.jsonl"
    lines = [
        {"step": 1, "d/loss": 2.0, "d/grad_norm": 9.0, "grad_norm": 1.0, "seconds": 0.5},
        {"step": 10, "health/overfit": 0.6, "health/diversity": 0.9},
        {"step": 10, "alarm": "collapse", "value": 0.1, "message": "x"},
        {"step": 20, "health/overfit": 0.8},
    ]
    path.write_text("\n".join(map(json.dumps, lines)))
    assert [curve["name"] for curve in curves(path)] == ["d/loss"]
    assert vitals(path) == [
        {"name": "d/grad_norm", "points": [[0.5, 9.0]]},
        {"name": "grad_norm", "points": [[0.5, 1.0]]},
        {"name": "health/overfit", "points": [[0.5, 0.6], [0.5, 0.8]]},
        {"name": "health/diversity", "points": [[0.5, 0.9]]},
    ]
    assert describe_run(tmp_path)["vitals"] == vitals(path)


def test_a_run_without_files_has_nothing_to_tell(tmp_path):
    found = describe_run(tmp_path)
    assert found["run"] == tmp_path.name
    assert (
        found["curves"] == found["vitals"] == []
        and found["environment"] == {}
        and found["alarms"] == []
    )


def test_a_long_journal_is_thinned(tmp_path):
    path = tmp_path / "metrics.jsonl"
    path.write_text("".join(json.dumps({"seconds": i, "loss": i}) + "\n" for i in range(5000)))
    (curve,) = curves(path)
    assert 300 < len(curve["points"]) <= 400
    thin = figures.thinned([(x, y) for x, y in curve["points"]])
    assert len(thin) == figures.POINTS
    assert abs(sum(y for _, y in thin) / len(thin) - 2500) < 30


def test_the_first_steep_fall_does_not_flatten_the_rest():
    curve = [(i, 1000.0 if i < 5 else 1 + i / 100) for i in range(100)]
    low, high = figures.span([curve])
    assert low < 1.1 and 1.9 < high < 3
    svg = str(figures.lines([curve], low, high))
    heights = [float(p.split(",")[1]) for p in svg.split('points="')[1].split('"')[0].split()]
    assert heights[0] < 0 and all(0 <= y <= figures.HEIGHT for y in heights[5:])
    assert heights[5] > heights[-1]  # y grows upwards


def test_a_flat_curve_and_a_single_point_are_drawn():
    for curve in ([(0.0, 2.0)], [(0.0, 2.0), (1.0, 2.0)]):
        low, high = figures.span([curve])
        assert low < 2.0 < high
        assert "nan" not in str(figures.lines([curve], low, high))


def test_clouds_share_the_window_of_the_real_points():
    real = [[0.0, 0.0], [2.0, 2.0]]
    window = figures.window([real])
    assert window == pytest.approx((-0.2, 2.2, -0.2, 2.2))
    svg = str(figures.cloud([[1.0, 1.0], [50.0, 0.0]], window, 'a "title"'))
    assert svg.count("<circle") == 1 and 'cx="100.0" cy="100.0"' in svg
    assert "a &#34;title&#34;" in svg


def test_the_commit_is_that_of_the_checkout():
    found = commit()
    assert found is None or (len(found) == 40 and int(found, 16) >= 0)


def spots(svg: str) -> list[tuple[float, float]]:
    """Where the values of a figure of steps stand."""
    found = re.findall(r'class="spot" x1="([\d.]+)" x2="\1" y1="([\d.]+)" y2="\2"', svg)
    return [(float(x), float(y)) for x, y in found]


def test_steps_are_drawn_on_logarithmic_scales():
    points = [
        {"steps": steps, "value": value, "low": value / 2, "high": value * 2}
        for steps, value in ((1, 1.0), (2, 0.1), (8, 0.01))
    ]
    svg = str(figures.steps(points, 0.1, 0.01, 1.0))
    (x0, y0), (x1, y1), (x2, y2) = spots(svg)
    assert x1 - x0 == pytest.approx((x2 - x0) / 3, abs=0.2)  # one doubling of three
    assert y1 - y0 == pytest.approx(y2 - y1, abs=0.2) and y0 < y1 < y2
    bottom, top = re.findall(r'class="spread" .*? y1="([\d.]+)" y2="([\d.]+)"', svg)[1]
    assert float(bottom) > y1 > float(top)
    floor = re.search(r'class="floor" .*? y1="([\d.]+)"', svg)
    assert floor and float(floor[1]) == pytest.approx(y1, abs=0.06)
    assert 'class="floor"' not in str(figures.steps(points, None, 0.01, 1.0))


def test_a_distance_of_nothing_or_less_lies_at_the_bottom():
    points = [
        {"steps": 4, "value": value, "low": -1.0, "high": 0.5} for value in (0.0, -0.3, 0.009)
    ]
    heights = {y for _, y in spots(str(figures.steps(points, -0.1, 0.01, 1.0)))}
    assert heights == {figures.HEIGHT - figures.MARGIN}
