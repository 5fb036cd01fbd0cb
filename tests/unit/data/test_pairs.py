"""Two folders side by side: who is whose mate, in which part, and what changes with what."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from PIL import Image

from genloom import data
from genloom.core import Real
from genloom.data.pairs import Side, side_of
from genloom.errors import BadInput

N = 40


def mark(path, value, other=0):
    """A picture that says its number at the left, and another at the right."""
    pixels = np.zeros((8, 8, 3), np.uint8)
    pixels[:, :4], pixels[:, 4:] = value, other
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)


def two_folders(root, n=N, names=("A", "B"), extra=0):
    """Source i holds i, target i holds 100 + i."""
    for i in range(n):
        mark(root / names[0] / f"{i:03d}.png", i)
        mark(root / names[1] / f"{i:03d}.png", 100 + i)
    for i in range(extra):
        mark(root / names[0] / f"lone-{i}.png", 200 + i)
    return root


def number(pictures):
    return pictures[:, 0, 0, 0].long()


@pytest.mark.parametrize(
    ("folder", "side"),
    [
        ("A_blob2017", Side(True)),
        ("b", Side(False)),
        ("source", Side(True)),
        ("target", Side(False)),
        ("trainA", Side(True, "train")),
        ("testB", Side(False, "test")),
        ("valA", Side(True, "valid")),
        ("cats", None),
    ],
)
def test_folders_say_which_side_they_are(folder, side):
    assert side_of(folder) == side


@pytest.mark.parametrize("names", [("A_old", "B_new"), ("source", "target")])
def test_pairs_go_by_name_in_every_part(tmp_path, names):
    opened = data.open_dataset(two_folders(tmp_path, names=names), given="paired")
    assert opened.items.conditions == {"source": Real((3, 8, 8))}
    seen = []
    for part in (opened.train, opened.valid, data.open_test(opened)):
        items, cond, _ = part.batch(0, len(part), 0)
        assert torch.equal(number(items), number(cond["source"]) + 100)
        assert torch.equal(part.given(torch.arange(len(part)))["source"][:, 0, 0, 0].long() + 100,
                           number(part.items))  # fmt: skip
        seen += number(items).tolist()
    assert sorted(seen) == [100 + i for i in range(N)]


def test_unpaired_sources_are_drawn_apart_from_the_items(tmp_path):
    opened = data.open_dataset(two_folders(tmp_path, extra=10), given="unpaired")
    items, cond, _ = opened.train.batch(0, 30, 0)
    matched = number(items) == number(cond["source"]) + 100
    assert matched.sum() < 8
    n = len(opened.train._pairs.pictures)
    sources = [number(opened.train.batch(k, 10, 0)[1]["source"]) for k in range(n)]
    every = torch.cat(sources)
    assert len(every[:n].unique()) == n and (every[:n] >= 200).sum() > 3  # an epoch of sources
    assert torch.equal(every[:30], number(cond["source"]))  # wherever batches begin
    other = opened.train.batch(0, 30, 1)[1]["source"]
    assert not torch.equal(number(other), number(cond["source"]))
    for part in (opened.valid, data.open_test(opened)):  # the truth, for judging
        items, cond, _ = part.batch(0, len(part), 0)
        assert torch.equal(number(items), number(cond["source"]) + 100)
        assert part.has_mate.all()


def test_as_many_sources_as_items_are_shuffled_apart_too(tmp_path):
    opened = data.open_dataset(two_folders(tmp_path), given="unpaired")
    items, cond, _ = opened.train.batch(0, 32, 0)
    assert (number(items) == number(cond["source"]) + 100).sum() < 8


def test_no_source_of_a_held_out_item_is_trained_on(tmp_path):
    opened = data.open_dataset(two_folders(tmp_path), given="unpaired")
    trained = set(number(opened.train._pairs.pictures).tolist())
    for part in (opened.valid, data.open_test(opened)):
        assert not trained & set(number(part.given(torch.arange(len(part)))["source"]).tolist())


def test_a_table_says_which_part_a_pair_is_of(tmp_path):
    two_folders(tmp_path)
    split = ["test" if i % 4 == 0 else "train" for i in range(N)]
    lines = ["file,title,split", *(f"{i:03d}.png,no {i},{part}" for i, part in enumerate(split))]
    (tmp_path / "pairs.csv").write_text("\n".join(lines))
    opened = data.open_dataset(tmp_path, given="paired", captions=True)
    test = data.open_test(opened)
    assert sorted(number(test.items).tolist()) == [100 + i for i in range(0, N, 4)]
    assert test.captions[0] == "no 0"


def test_train_and_test_folders(tmp_path):
    two_folders(tmp_path, names=("trainA", "trainB"))
    for i in range(5):
        mark(tmp_path / "testA" / f"{i:03d}.png", 60 + i)
        mark(tmp_path / "testB" / f"{i:03d}.png", 160 + i)
    opened = data.open_dataset(tmp_path, given="paired")
    test = data.open_test(opened)
    assert sorted(number(test.items).tolist()) == [160 + i for i in range(5)]
    assert (number(test.given(torch.arange(5))["source"]) == number(test.items) - 100).all()


def test_a_pair_with_a_lost_or_damaged_half_is_left_out(tmp_path):
    two_folders(tmp_path, extra=1)
    (tmp_path / "B" / "003.png").write_bytes(b"\x89PNG\r\n and no more")
    opened = data.open_dataset(tmp_path, given="paired")
    codes = {finding.path: finding.code for finding in opened.findings if not finding.kept}
    assert codes == {"A/lone-0.png": "no_mate", "B/003.png": "corrupt"}
    parts = (opened.train, opened.valid, data.open_test(opened))
    assert sum(map(len, parts)) == N - 1
    assert all((part._pairs.mates >= 0).all() for part in parts)


def test_a_pair_is_moved_alike_and_loose_pictures_are_not(tmp_path):
    for i in range(N):
        mark(tmp_path / "A" / f"{i}.png", i, other=200)
        mark(tmp_path / "B" / f"{i}.png", 100 + i, other=50)
    torch.manual_seed(0)
    paired = data.open_dataset(tmp_path, given="paired", flip=True)
    items, cond, _ = paired.train.batch(0, 32, 0)
    moved, changed = paired.augmented(items, cond)
    flipped = number(moved) == 50
    assert 4 < flipped.sum() < 28
    assert torch.equal(flipped, number(changed["source"]) == 200)
    loose = data.open_dataset(tmp_path, given="unpaired", flip=True)
    moved, changed = loose.augmented(*loose.train.batch(0, 32, 0)[:2])
    assert not torch.equal(number(moved) == 50, number(changed["source"]) == 200)


@pytest.mark.parametrize("names", [("A", "cats"), ("A", "A2"), ("x", "y")])
def test_other_folders_are_refused(tmp_path, names):
    with pytest.raises(BadInput, match="put them in A/ and B/"):
        data.open_dataset(two_folders(tmp_path, names=names), given="paired")


def test_built_in_data_have_no_pairs():
    with pytest.raises(BadInput, match="two folders"):
        data.open_dataset("digits", given="paired")


def test_older_fingerprints_stay():
    plain = data.open_dataset("digits").fingerprint
    assert plain == data.open_dataset("digits", given="none").fingerprint
    from genloom.data.pack import ImportOptions

    assert set(ImportOptions().named()) == {"size", "channels", "length", "valid", "test", "seed"}
