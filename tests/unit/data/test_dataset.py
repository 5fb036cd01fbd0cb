"""Batches: the order is a function of (seed, epoch), every row comes once an epoch, and fast."""

import os
import time

import numpy as np
import pytest
import torch

from genloom import data
from genloom.core import rows, uniform
from genloom.data import cache as store
from genloom.data.augment import Augment
from genloom.data.dataset import order
from genloom.errors import BadInput, DiskFull


def make(path, n=50, shape=(1, 4, 4), **options):
    x = np.random.default_rng(0).integers(0, 256, (n, *shape), np.uint8)
    np.savez(path / "a.npz", x=x, y=np.arange(n) % 5)
    return data.open_dataset(path / "a.npz", **options)


def test_every_row_comes_once_an_epoch_and_epochs_differ(tmp_path):
    train = make(tmp_path, valid=0.0, test=0.0).train
    ids = torch.cat([train.batch(i, 10, seed=3)[2] for i in range(10)])
    assert sorted(ids[:50].tolist()) == sorted(ids[50:].tolist()) == list(range(50))
    assert ids[:50].tolist() != ids[50:].tolist()


def test_batches_that_wrap_are_slices_of_one_endless_order(tmp_path):
    train = make(tmp_path, valid=0.0, test=0.0).train
    order = torch.cat([train.batch(i, 1, seed=1)[2] for i in range(150)])
    for size in (7, 33, 64, 150):
        for position in range(150 // size):
            ids = train.batch(position, size, seed=1)[2]
            assert ids.tolist() == order[position * size : (position + 1) * size].tolist()


def test_items_and_conditions_belong_to_the_ids(tmp_path):
    train = make(tmp_path).train
    items, cond, ids = train.batch(5, 16, seed=0)
    assert (items == train.items[ids]).all() and (cond["label"] == train.cond["label"][ids]).all()
    assert items.dtype == torch.uint8 and cond["label"].dtype == torch.int64


def test_order_is_the_same_in_every_process():
    """Written down once: a resumed run in another process sees the same rows."""
    assert order(10, 0, 0).tolist() == [5, 3, 6, 4, 8, 1, 2, 0, 9, 7]
    assert order(10, 0, 1).tolist() == [3, 7, 8, 4, 6, 5, 2, 0, 9, 1]
    assert order(10, 7, 123).tolist() == [6, 9, 7, 5, 0, 4, 8, 3, 1, 2]


def test_order_ignores_global_seeds_and_what_was_asked_before(tmp_path):
    dataset = make(tmp_path)
    before = dataset.train.batch(7, 12, seed=9)[2].tolist()
    torch.manual_seed(123)
    np.random.seed(5)
    state = torch.get_rng_state()
    dataset.train.batch(0, 12, seed=4)
    assert dataset.train.batch(7, 12, seed=9)[2].tolist() == before
    assert torch.equal(torch.get_rng_state(), state)


def test_batches_do_not_alias_the_cache(tmp_path):
    dataset = make(tmp_path)
    before = dataset.train.items.clone()
    dataset.train.batch(0, 8, seed=0)[0].zero_()
    dataset.train.items[0] = 0  # a private page
    assert (make(tmp_path).train.items == before).all()


def test_fingerprint_follows_content_and_options(tmp_path):
    first = make(tmp_path)
    assert make(tmp_path).fingerprint == first.fingerprint
    assert make(tmp_path, seed=1).fingerprint != first.fingerprint
    assert make(tmp_path, size=2).fingerprint != first.fingerprint
    assert make(tmp_path, flip=True).fingerprint == first.fingerprint
    (tmp_path / "b").mkdir()
    other = make(tmp_path / "b", n=51)
    assert other.fingerprint != first.fingerprint
    assert other.train.fingerprint != first.train.fingerprint


def test_the_folder_may_move(tmp_path):
    (tmp_path / "x").mkdir()
    first = make(tmp_path / "x").fingerprint
    os.rename(tmp_path / "x", tmp_path / "y")
    assert data.open_dataset(tmp_path / "y" / "a.npz").fingerprint == first


def test_a_changed_file_is_packed_anew(tmp_path):
    first = make(tmp_path)
    np.savez(tmp_path / "a.npz", x=np.zeros((60, 4, 4), np.uint8) + np.arange(60)[:, None, None])
    again = data.open_dataset(tmp_path / "a.npz")
    assert again.fingerprint != first.fingerprint and len(again.train) == 48


def test_the_second_opening_reads_the_pack_alone(tmp_path):
    cache = tmp_path / "cache"
    make(tmp_path, cache=cache)
    packs = list((cache / "packs").iterdir())
    times = [path.stat().st_mtime_ns for path in packs[0].iterdir()]
    make_again = data.open_dataset(tmp_path / "a.npz", cache=cache)
    assert len(make_again.train) == 40
    assert times == [path.stat().st_mtime_ns for path in packs[0].iterdir()]
    assert [path.name for path in (cache / "packs").iterdir()] == [packs[0].name]


@pytest.mark.parametrize("damage", ["cut", "gone", "no description"])
def test_a_damaged_pack_is_made_anew(tmp_path, damage):
    cache = tmp_path / "cache"
    before = make(tmp_path, cache=cache).train.items.clone()
    (pack,) = (cache / "packs").iterdir()
    name = "data.json" if damage == "no description" else "train.npy"
    content = (pack / name).read_bytes()
    (pack / name).unlink()
    if damage == "cut":
        (pack / name).write_bytes(content[:-9])
    assert (make(tmp_path, cache=cache).train.items == before).all()


def test_full_disk_leaves_nothing_behind(tmp_path):
    def fill(path):
        path.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    with pytest.raises(DiskFull, match="GENLOOM_CACHE"):
        store.write_aside(tmp_path / "packs" / "p", fill)
    assert list((tmp_path / "packs").iterdir()) == []


def test_an_interrupted_pack_is_not_there(tmp_path):
    def stop(path):
        path.mkdir()
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        store.write_aside(tmp_path / "packs" / "p", stop)
    assert list((tmp_path / "packs").iterdir()) == []


def text(tmp_path, n=1000, **options):
    (tmp_path / "t.txt").write_text("".join(chr(97 + i * i % 26) for i in range(n)))
    return data.open_dataset(tmp_path / "t.txt", valid=0.1, test=0.0, **options)


def test_text_windows_shift_from_epoch_to_epoch(tmp_path):
    train = text(tmp_path, length=16).train
    n = train.epoch
    flat = train.items.flatten()
    offsets = set()
    for epoch in range(6):
        ids = torch.cat([train.batch(epoch * n + i, 1, seed=0)[2] for i in range(n)])
        assert len(set((ids % 16).tolist())) == 1 and len(set(ids.tolist())) == n
        assert ids.min() >= 0 and ids.max() + 16 <= 900
        offsets.add(int(ids[0] % 16))
    assert len(offsets) > 2
    items, cond, ids = train.batch(2, 5, seed=0)
    assert items.dtype == torch.int64 and items.shape == (5, 16) and cond == {}
    for item, start in zip(items, ids.tolist(), strict=True):
        assert item.tolist() == flat[start : start + 16].tolist()


def test_text_batches_are_pure(tmp_path):
    train = text(tmp_path, length=7).train
    once = [train.batch(i, 30, seed=2)[0] for i in range(12)]
    for i in (11, 3, 7):
        assert (train.batch(i, 30, seed=2)[0] == once[i]).all()


def test_a_batch_costs_next_to_nothing(tmp_path):
    train = make(tmp_path, n=4000, shape=(3, 32, 32)).train
    train.batch(0, 64, seed=0)
    start = time.process_time()
    for i in range(200):
        train.batch(i, 64, seed=0)
    assert (time.process_time() - start) / 200 < 0.002  # about 0.1 ms on an idle core


def pictures(b=6, c=2, h=8, w=8):
    return torch.arange(b * c * h * w).remainder(251).byte().view(b, c, h, w)


def test_no_augmentation_is_no_work():
    items = pictures()
    assert Augment()(items) is items


def test_flip_mirrors_whole_rows():
    items = pictures(64)
    out = Augment(flip=True)(items)
    same, mirrored = (out == items).all((1, 2, 3)), (out == items.flip(-1)).all((1, 2, 3))
    assert (same | mirrored).all() and 10 < mirrored.sum() < 54


def test_shift_moves_and_repeats_the_border():
    items = pictures(200, 1)
    out = Augment(shift=2)(items)
    padded = torch.nn.functional.pad(items.float(), (2, 2, 2, 2), "replicate").byte()
    seen = set()
    for x, y in zip(padded, out, strict=True):
        places = [(i, j) for i in range(5) for j in range(5)]
        found = [p for p in places if (x[:, p[0] : p[0] + 8, p[1] : p[1] + 8] == y).all()]
        assert found
        seen |= set(found)
    assert len(seen) == 25


def test_flip_and_shift_together_keep_the_values():
    items = pictures(100, 1)
    out = Augment(flip=True, shift=1)(items)
    inner = out[:, :, 1:-1, 1:-1]
    for x, y in zip(items, inner, strict=True):
        assert set(y.flatten().tolist()) <= set(x.flatten().tolist())


def test_cutout_hides_a_square():
    items = torch.full((50, 3, 10, 10), 7, dtype=torch.uint8)
    hidden = Augment(cutout=0.4)(items) == 128
    assert (hidden.sum((1, 2, 3)) == 3 * 16).all()
    assert len({tuple(h[0].nonzero()[0].tolist()) for h in hidden}) > 20


def whole_and_in_parts(augment, items):
    """Eight rows at once, and four by four as the halves of one batch."""
    torch.manual_seed(5)
    whole = augment(items)
    parts = []
    for start in (0, 4):
        torch.manual_seed(5)
        with rows(start, 8):
            parts.append(augment(items[start : start + 4]))
            assert uniform(4, 1, device=items.device).shape == (4, 1)
    return whole, torch.cat(parts)


def test_micro_batches_see_what_the_whole_batch_sees():
    whole, parts = whole_and_in_parts(Augment(flip=True, shift=3, cutout=0.3), pictures(8))
    assert (parts == whole).all()


@pytest.mark.parametrize("options", [{"shift": -1}, {"shift": 1.5}, {"cutout": 1.0}])
def test_augmentation_that_makes_no_sense(options):
    with pytest.raises(BadInput):
        Augment(**options)


def test_augmentation_is_for_pictures():
    with pytest.raises(BadInput, match="points"):
        data.open_dataset("moons", flip=True)


@pytest.mark.parametrize("name", ["moons", "digits"])
def test_how_much_is_held_out_is_told(name):
    dataset = data.open_dataset(name)
    assert dataset.held_out == len(data.open_test(dataset)) > 0


@pytest.mark.parametrize("held", [8, 9, 14, 15, 16])
def test_a_short_part_of_a_running_text_gives_batches(held, tmp_path):
    (tmp_path / "a.txt").write_text("abcdefghij" * held, "utf-8")
    dataset = data.open_dataset(tmp_path / "a.txt", length=8, cache=tmp_path / "cache")
    own = "".join(map(dataset.items.read, dataset.valid.items))
    for position in range(3):
        x, _, _ = dataset.valid.batch(position, 4, seed=0)
        assert x.shape == (4, 8)
        assert all(dataset.items.read(row) in "abcdefghij" * held for row in x)
    assert len(own) == 8 * (held // 8)
