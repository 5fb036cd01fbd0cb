"""Verdicts of models with a source: what is asked, what it is measured beside, and where."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image as Pillow

from genloom import given
from genloom.artifact import Artifact
from genloom.codecs import Image
from genloom.core import Generative
from genloom.data import open_dataset, open_test
from genloom.evaluation import evaluate

N = 300


class Echo(Generative):
    """Says what it was given, a step brighter in all of the picture."""

    likelihood = "exact"

    def __init__(self, space, conditions):
        super().__init__(space, conditions)
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.seen = []

    def sample_steps(self, rng, cond):
        self.seen.append(dict(cond))
        source = cond["source"][:, : self.space.shape[0]]
        yield (source.expand(-1, *self.space.shape) + 4 / 127.5).clamp(-1, 1)

    def log_prob(self, x, cond):
        self.seen.append(dict(cond))
        return -x.square().flatten(1).sum(1)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Soft blobs in A, the same 10 steps darker in B, two captions each."""
    root, rng = tmp_path_factory.mktemp("pairs"), np.random.default_rng(0)
    rows, columns = np.mgrid[:16, :16]
    for name in ("A", "B"):
        (root / name).mkdir()
    for i in range(N):
        y, x, r = rng.uniform((4, 4, 9), (12, 12, 30))
        light = 40 + 150 * np.exp(-((rows - y) ** 2 + (columns - x) ** 2) / r)
        pixels = (light[..., None] * rng.uniform(0.5, 1, 3)).astype(np.uint8)
        Pillow.fromarray(pixels).save(root / "A" / f"{i}.png")
        Pillow.fromarray(pixels - 10).save(root / "B" / f"{i}.png")
    lines = ["file,title", *(f"{i}.png,blob {i % 7}" for i in range(N))]
    (root / "pairs.csv").write_text("\n".join(lines))
    return root


def judged(dataset, **options):
    codec = Image(dataset.items)
    model = Echo(codec.space, dataset.items.conditions)
    recipe = {"data": {"source": "x"}, "model": {"use": "echo"}}
    stand = Artifact(Path("runs/x/model"), recipe, {}, dataset.items, model, codec, "a" * 64)
    verdict = evaluate(stand, dataset=dataset, force=True, **options)
    return {e.name: e for e in verdict.estimates}, model, verdict


@pytest.mark.parametrize("kind", ["paired", "unpaired"])
def test_pairs_are_judged_beside_their_truth(folder, kind):
    dataset = open_dataset(folder, given=kind, captions=True, test=0.3)
    found, model, verdict = judged(dataset, n=60)
    assert found["pixel_difference"].trivial == pytest.approx(10)
    assert found["pixel_difference"].value == pytest.approx(14, abs=0.1)
    assert found["psnr"].trivial == pytest.approx(28.13, abs=0.01)
    assert found["psnr"].value < found["psnr"].trivial
    assert found["feature_distance[encoder]"].n == 60
    test = open_test(dataset)
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:60]
    known = test.given(order)
    asked = {k: torch.cat([s[k] for s in model.seen[:1]]) for k in ("source", "caption")}
    assert torch.equal(asked["source"], given.unit(known["source"]))
    assert torch.equal(asked["caption"], known["caption"])
    assert verdict.facts["conditions"]["given"] == kind


def test_holes_are_judged_inside_and_are_the_same_at_every_verdict(folder):
    dataset = open_dataset(folder / "B", given="masked", test=0.3)
    state = torch.get_rng_state()
    found, model, _ = judged(dataset, n=60)
    assert torch.equal(torch.get_rng_state(), state)
    _, other, _ = judged(dataset, n=60)
    assert torch.equal(model.seen[0]["source"], other.seen[0]["source"])
    source = model.seen[0]["source"]
    test = open_test(dataset)
    order = torch.randperm(len(test), generator=torch.Generator().manual_seed(0))[:60]
    true, hole = test.items[order].double(), source[:, 3:] > 0
    shares = [
        float((true[i] - 128)[hole[i].expand(3, -1, -1)].abs().mean()) for i in range(len(true))
    ]
    assert found["pixel_difference"].trivial == pytest.approx(sum(shares) / 60, rel=1e-6)
    assert "in the hole" in found["pixel_difference"].id
    likelihood = model.seen[-1]["source"]
    assert torch.equal(likelihood, source[-len(likelihood) :])


def test_a_picture_and_its_grey_are_apart(folder):
    dataset = open_dataset(folder / "B", given="grey", test=0.3)
    found, model, _ = judged(dataset, n=60)
    assert model.seen[0]["source"].shape == (60, 1, 16, 16)
    assert 0 < found["pixel_difference"].trivial < 60
    assert found["bits_per_dim"].tag == "exact"
