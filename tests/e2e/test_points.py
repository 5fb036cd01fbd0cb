"""Points on a line and in six dimensions, from a file of floats to a verdict."""

from __future__ import annotations

import numpy as np
import pytest

from genloom import artifact, evaluation, gallery
from genloom.recipe import resolve
from genloom.trainer import train


@pytest.mark.parametrize("d", [1, 6])
def test_points_off_the_plane_are_trained_sampled_and_judged(d, tmp_path):
    rng = np.random.default_rng(0)
    x = rng.normal(size=(1000, d)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=x, y=np.arange(1000) % 2)
    recipe = {
        "data": {"source": str(tmp_path / "x.npz")},
        "model": {"use": "flow", "net": {"use": "mlp", "width": 16, "blocks": 1}},
        "train": {"steps": 4, "batch": 32},
    }
    run = train(resolve(recipe), tmp_path / "run", quiet=True)
    header, *rows = (run / "samples" / "step-00000004.txt").read_text().splitlines()
    assert header == ",".join(f"x{i}" for i in range(d)) and len(rows) > 1
    model = artifact.load(run / "model")
    paths, items = gallery.write(model, 3, tmp_path / "out", seed=5, label=[1, 0, 1])
    assert [path.name for path in paths] == ["000005.csv", "000006.csv", "000007.csv", "all.csv"]
    header, *rows = paths[-1].read_text().splitlines()
    assert header == f"seed,label,{','.join(f'x{i}' for i in range(d))}"
    assert [row.split(",")[:2] for row in rows] == [["5", "1"], ["6", "0"], ["7", "1"]]
    found = [[float(cell) for cell in row.split(",")[2:]] for row in rows]
    assert np.array_equal(np.array(found, np.float32), items.numpy())
    verdict = evaluation.evaluate(model, n=60, force=True)
    nll = next(e for e in verdict.estimates if e.name == "nll")
    assert nll.trivial == pytest.approx(d * (1 + np.log(2 * np.pi)) / 2, rel=0.15)


def test_points_that_fill_no_space_are_judged_without_the_trivial_likelihood(tmp_path):
    x = np.random.default_rng(0).normal(size=(1000, 1)).astype(np.float32)
    np.savez(tmp_path / "x.npz", x=np.concatenate([x, 2 * x], 1))
    recipe = {
        "data": {"source": str(tmp_path / "x.npz")},
        "model": {"use": "flow", "net": {"use": "mlp", "width": 16, "blocks": 1}},
        "train": {"steps": 4, "batch": 32},
    }
    run = train(resolve(recipe), tmp_path / "run", quiet=True)
    verdict = evaluation.evaluate(artifact.load(run / "model"), n=60, force=True)
    assert next(e for e in verdict.estimates if e.name == "nll").trivial is None
    assert "follows from the others" in verdict.refused["trivial nll"]
