"""Previews: as many samples as their share of the time allows, and no more."""

from __future__ import annotations

import time

import pytest
import torch

from genloom.preview import FEW, GRID, Previewer
from genloom.recipe import resolve


@pytest.fixture
def shown(tmp_path):
    recipe = {"data": {"source": "moons"}, "model": {"use": "flow"}, "train": {"steps": 1}}
    plan = resolve(recipe)
    return Previewer(plan, tmp_path, torch.device("cpu")), plan.model


@pytest.mark.parametrize(
    ("enough_s", "count"), [(0.0, FEW), (0.05, FEW), (0.25, 3 * FEW), (100.0, GRID)]
)
def test_dear_samples_are_shown_in_small_numbers(shown, monkeypatch, enough_s, count):
    previewer, model = shown
    drawn = []

    def slow(model, step):  # 20 ms a sample
        drawn.append(previewer.count)
        clock[0] += 0.02 * previewer.count

    clock = [0.0]
    monkeypatch.setattr(previewer, "draw", slow)
    monkeypatch.setattr(time, "perf_counter", lambda: clock[0])
    assert previewer.fit(model, enough_s) == (count, pytest.approx(0.02 * count))
    assert previewer.count == count and drawn == sorted({FEW, count})


def test_a_sheet_holds_what_was_settled_on(shown):
    previewer, model = shown
    previewer.count = 12
    previewer.draw(model, 3)
    assert len(previewer._last) == 12
    assert (previewer.folder / "step-00000003.png").is_file()
