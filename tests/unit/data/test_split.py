"""Parts: of the right size, never sharing content, and hidden from training where they must be."""

import ast
import inspect
from pathlib import Path

import numpy as np
import pytest
from numpy.random import default_rng

import genloom
from genloom import data
from genloom.data.split import assign, digest, parts_of
from genloom.errors import BadInput


def test_shares_are_met():
    digests = [digest(bytes([i, j])) for i in range(50) for j in range(20)]
    parts = assign(digests, 0.1, 0.2, seed=0)
    assert [parts.count(part) for part in ("train", "valid", "test")] == [700, 100, 200]
    assert assign(digests, 0.1, 0.2, seed=0) == parts != assign(digests, 0.1, 0.2, seed=1)


def test_the_split_does_not_depend_on_the_order_of_files():
    digests = [digest(bytes([i])) for i in range(100)]
    there = dict(zip(digests, assign(digests, 0.2, 0.2, 0)))
    back = dict(zip(digests[::-1], assign(digests[::-1], 0.2, 0.2, 0)))
    assert there == back


@pytest.mark.parametrize("seed", range(5))
def test_equal_content_shares_a_part(seed):
    digests = [digest(bytes([i % 17])) for i in default_rng(seed).permutation(300)]
    parts = assign(digests, 0.3, 0.3, seed)
    assert len(set(zip(digests, parts))) == 17
    assert set(parts) == {"train", "valid", "test"}


@pytest.mark.parametrize("valid,test", [(-0.1, 0.1), (0.5, 0.5), (1.0, 0.0), (float("nan"), 0.1)])
def test_shares_that_make_no_sense(valid, test):
    with pytest.raises(BadInput):
        assign([b"a"], valid, test, 0)


def test_what_the_official_test_part_holds_leaves_training():
    digests = [digest(bytes([i])) for i in (1, 2, 3, 4, 1, 5)]
    given = ["train"] * 4 + ["test"] * 2
    parts, findings = parts_of(given, digests, list("abcdef"), (0.0, 0.1), 0)
    assert parts == ["", "train", "train", "train", "test", "test"]
    assert [(finding.path, finding.code) for finding in findings] == [("a", "leak")]


def test_duplicates_in_a_data_set_never_straddle(tmp_path):
    base = default_rng(0).integers(0, 256, (30, 4, 4), np.uint8)
    x = base[default_rng(1).integers(0, 30, 200)]
    np.savez(tmp_path / "a.npz", x=x)
    dataset = data.open_dataset(tmp_path / "a.npz", valid=0.2, test=0.2)
    parts = (dataset.train, dataset.valid, data.open_test(dataset))
    content = [{item.numpy().tobytes() for item in part.items} for part in parts]
    assert all(content) and len(set.union(*content)) == sum(map(len, content))
    assert sum(map(len, parts)) == 200
    kept = [finding for finding in dataset.findings if finding.code == "duplicate"]
    assert len(kept) == 200 - len(set.union(*content)) and all(finding.kept for finding in kept)


def test_the_test_part_is_no_attribute():
    dataset = data.open_dataset("moons")
    public = [name for name in dir(dataset) if not name.startswith("_")]
    splits = [name for name in public if isinstance(getattr(dataset, name), data.Split)]
    assert sorted(splits) == ["train", "valid"]
    assert "test" not in public


def test_only_the_evaluation_imports_the_test_part():
    """No module on the way of training names `open_test`."""
    root = Path(inspect.getfile(genloom)).parent
    allowed = {"data/__init__.py", "data/dataset.py", "evaluation.py"}
    users = set()
    for path in root.rglob("*.py"):
        if "open_test" not in (code := path.read_text("utf-8")):
            continue
        nodes = list(ast.walk(ast.parse(code)))
        names = {node.id for node in nodes if isinstance(node, ast.Name)}
        names |= {node.attr for node in nodes if isinstance(node, ast.Attribute)}
        imports = [node for node in nodes if isinstance(node, ast.ImportFrom)]
        names |= {alias.name for node in imports for alias in node.names}
        if "open_test" in names:
            users.add(path.relative_to(root).as_posix())
    assert not users & {"trainer.py", "recipe.py", "learner.py", "rehearsal.py", "preview.py"}
    assert not users & {"access.py", "components.py", "private/access.py"}
    assert all(user in allowed or user.startswith("metrics/") for user in users), users
