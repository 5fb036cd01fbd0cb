"""Previews: as many samples as their share of the time allows, and no more."""

from __future__ import annotations

import json
import time

import numpy as np
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


def test_points_off_the_plane_are_rows_of_numbers(tmp_path):
    np.savez(tmp_path / "x.npz", x=np.random.default_rng(0).normal(size=(40, 3)))
    recipe = {"data": {"source": str(tmp_path / "x.npz")}, "model": {"use": "flow"}}
    plan = resolve({**recipe, "train": {"steps": 1}})
    previewer = Previewer(plan, tmp_path, torch.device("cpu"))
    previewer.count = 5
    assert previewer.draw(plan.model, 2) is None
    header, *rows = (tmp_path / "step-00000002.txt").read_text().splitlines()
    found = torch.tensor([[float(cell) for cell in row.split(",")] for row in rows])
    assert header == "x0,x1,x2" and torch.equal(found, previewer._last)


def talks(folder, answer: str, n: int):
    """A previewer of a model of answers, of which few talks are held out."""
    rows = [{"prompt": f"{i}?", "completion": answer.format(i)} for i in range(100, 100 + n)]
    (folder / "talks.jsonl").write_text("\n".join(map(json.dumps, rows)))
    net = {"use": "transformer", "width": 16, "layers": 1, "heads": 2}
    model = {"use": "autoregressive", "learned": "answers", "net": net}
    data = {"source": str(folder / "talks.jsonl"), "length": 12}
    plan = resolve({"data": data, "model": model, "train": {"steps": 1}})
    return Previewer(plan, folder, torch.device("cpu")), plan


def test_a_model_of_answers_shows_no_more_than_there_are_prompts(tmp_path):
    previewer, plan = talks(tmp_path, "{}.", 60)
    held_out = len(plan.dataset.valid)
    previewer.count = GRID
    assert held_out < GRID
    previewer.draw(plan.model, 1)
    texts = (tmp_path / "step-00000001.txt").read_text().split("\n---\n")
    assert len(previewer._last) == held_out == len(texts) and all("?" in t for t in texts)


def test_prompts_do_not_count_as_diversity(tmp_path):
    previewer, plan = talks(tmp_path, "{}.", 600)
    previewer.count = GRID
    previewer.draw(plan.model, 1)
    x, known = previewer._last, previewer._known
    assert previewer.diversity(plan.model) > 0.5
    place = torch.arange(x.shape[1])
    same = x[:1].expand_as(x)
    previewer._last = torch.where(place < known[:, None], x, same)  # one answer to all
    assert previewer.diversity(plan.model) == 0


def test_held_out_losses_have_the_weights_of_the_end(tmp_path):
    model = {"use": "vae", "anneal": 1.0, "beta": 3.0}
    plan = resolve({"data": {"source": "moons"}, "model": model, "train": {"steps": 1}})
    previewer = Previewer(plan, tmp_path, torch.device("cpu"))
    plan.model.prepare(*(v[:256] for v in (plan.dataset.train.items,)), {})
    with torch.no_grad():
        for p in plan.model.parameters():
            p.add_(0.1 * torch.randn_like(p))
    found = previewer.valid_loss(plan.model, lambda x, cond: (plan.codec.encode(x), cond))
    assert found["valid/rate"] > 0


def test_one_held_out_item_tells_nothing_of_diversity(shown):
    previewer, model = shown
    previewer._other = previewer._other[:1]
    previewer.draw(model, 1)
    assert previewer.diversity(model) == 1.0


def test_without_a_validation_part_samples_are_shown_beside_training_items(tmp_path):
    data = {"source": "moons", "valid": 0, "test": 0}
    plan = resolve({"data": data, "model": {"use": "flow"}, "train": {"steps": 1}})
    previewer = Previewer(plan, tmp_path, torch.device("cpu"))
    assert previewer.draw(plan.model, 0) is not None
    assert 0 < previewer.diversity(plan.model) < 10
    assert previewer.valid_loss(plan.model, lambda x, cond: (x, cond)) == {}
