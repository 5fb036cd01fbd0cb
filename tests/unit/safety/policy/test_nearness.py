"""Nearness: planted training items are all found, unseen items hardly ever, from an index alone."""

from __future__ import annotations

import io
from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image
from safetensors.torch import save_file

from genloom.data import open_dataset, open_test
from genloom.errors import BadInput, Refused
from genloom.safety.policy import perceptual, winnow
from genloom.safety.policy.nearness import Index, Near, index, load, save
from genloom.safety.policy.verdict import Verdict


@pytest.fixture(scope="module", params=["digits", "glyphs"])
def images(request):
    data = open_dataset(request.param)
    return data.train.items, open_test(data).items, Index("image", index(data))


def share(found: Index, items) -> float:
    return found.copies(found.look(items)).double().mean().item()


def jpeg(items: torch.Tensor, quality: int) -> torch.Tensor:
    made = []
    for item in items:
        file = io.BytesIO()
        Image.fromarray(item[0].numpy()).save(file, "JPEG", quality=quality)
        made.append(torch.from_numpy(np.array(Image.open(file)))[None])
    return torch.stack(made)


def test_every_planted_copy_is_found_and_few_unseen_items(images):
    train, unseen, found = images
    assert share(found, train[:: len(train) // 1400]) == 1
    assert share(found, unseen) < 0.02


def test_altered_copies_are_found_by_their_looks(images):
    train, _, found = images
    some = train[:: len(train) // 200]
    noisy = (some + 4 * torch.randn(some.shape)).clamp(0, 255).byte()
    dark = (some * 0.8).byte()
    assert not found.look(noisy).exact.any()
    for altered in (noisy, dark, jpeg(some, 75)):
        assert share(found, altered) > 0.97


def test_noise_and_flat_images_are_not_copies(images):
    _, unseen, found = images
    noise = torch.randint(256, (50, *unseen.shape[1:]), dtype=torch.uint8)
    flat = torch.full((1, *unseen.shape[1:]), 77, dtype=torch.uint8)
    assert share(found, noise) == 0 and share(found, flat) == 0


@pytest.mark.parametrize("name", ["moons", "gaussians"])
def test_points(name):
    data = open_dataset(name)
    found = Index("points", index(data))
    assert share(found, data.train.items[:500]) == 1
    assert share(found, open_test(data).items[:1000]) < 0.02


def letters(n: int, seed: int) -> str:
    """A text of a thousand words drawn at random."""
    generator = torch.Generator().manual_seed(seed)
    spelled = torch.randint(97, 123, (1000, 7), generator=torch.Generator().manual_seed(99))
    vocabulary = ["".join(map(chr, row[: 3 + i % 5])) for i, row in enumerate(spelled.tolist())]
    drawn = torch.randint(1000, (n,), generator=generator).tolist()
    return " ".join(vocabulary[i] for i in drawn)


@pytest.fixture(scope="module")
def text(tmp_path_factory):
    path = tmp_path_factory.mktemp("text") / "words.txt"
    path.write_text(letters(40_000, 1))
    data = open_dataset(path, length=64)
    whole = path.read_text()
    return whole, data, Index("text", index(data))


def test_copied_text_is_found_at_any_offset_and_new_text_is_not(text):
    whole, _, found = text
    copies = [whole[start : start + 64] for start in range(1, 60_000, 601)]
    fresh = letters(2_000, 2)
    new = [fresh[start : start + 64] for start in range(0, 9_000, 64)]
    assert share(found, copies) == 1
    assert share(found, new) < 0.02
    assert share(found, ["short", ""]) == 0


def test_half_a_copy_is_found(text):
    whole, _, found = text
    fresh = letters(2_000, 3)
    mixed = [fresh[s : s + 40] + whole[s + 7 : s + 57] for s in range(0, 8_000, 100)]
    assert share(found, mixed) > 0.9


def test_winnowing_always_shares_a_fingerprint_of_a_long_enough_run():
    ids = torch.randint(4, (500,))
    known = winnow.fingerprints(ids, 8, 5)
    runs = ids.unfold(0, 12, 1)
    assert winnow.contained(runs, known, 8, 5).min() == 1
    assert len(known) < 0.5 * 493
    parts = winnow.CHUNK
    try:
        winnow.CHUNK = 100
        assert torch.equal(winnow.fingerprints(ids, 8, 5), known)
    finally:
        winnow.CHUNK = parts


def test_the_perceptual_hash_survives_what_the_eye_does():
    x = torch.nn.functional.interpolate(torch.rand(40, 3, 9, 9) * 255, 96, mode="bicubic")
    x = x.clamp(0, 255).byte()
    bits, usable = perceptual.hashes(x)
    small = torch.nn.functional.interpolate(x.float(), 48, mode="area").byte()
    for altered in (small, (x * 0.7).byte(), (x + 6 * torch.randn(x.shape)).clamp(0, 255).byte()):
        found, _ = perceptual.hashes(altered)
        assert all(perceptual.nearest(f[None], b[None]) <= 8 for f, b in zip(found, bits))
    ramp = (x.float() / 2 + torch.linspace(0, 100, 96)).byte()  # light from one side
    assert perceptual.nearest(perceptual.hashes(ramp)[0], bits).double().mean() < 1
    assert all((int(b) % 2**64).bit_count() == 32 for b in bits)
    others = torch.tensor(
        [int(perceptual.nearest(bits[i : i + 1], bits[:i])) for i in range(1, 40)]
    )
    assert usable.all() and others.double().median() > 15
    assert perceptual.nearest(bits, bits).max() == 0
    assert perceptual.nearest(bits, bits[:0]).min() == 65


def test_the_filter_works_from_the_file_alone(tmp_path):
    data = open_dataset("digits")
    save(tmp_path / "digits.index", index(data), "image")
    filter = Near(tmp_path, index="digits.index", verdict="hold")
    unseen = torch.randint(256, (1, 1, 8, 8), dtype=torch.uint8)
    found, other = filter.check(torch.cat((data.train.items[:1], unseen)))
    assert (found.verdict, found.score) == (Verdict.HOLD, 1.0)
    assert other.verdict is Verdict.ALLOW
    with pytest.raises(BadInput, match=r"not torch.uint8 \(1, 9, 9\)"):
        filter.check(torch.zeros(1, 1, 9, 9, dtype=torch.uint8))


def test_broken_index_files_are_refused(tmp_path):
    tensors = index(open_dataset("digits"))
    path = tmp_path / "x.index"
    path.write_bytes(b"\x80\x04 no safetensors")
    with pytest.raises(BadInput, match="not safetensors"):
        load(path)
    save_file(tensors, str(path))
    with pytest.raises(BadInput, match="no index of format"):
        load(path)
    save(path, tensors | {"basis": torch.zeros(3, 3)}, "image")
    with pytest.raises(BadInput, match="damaged"):
        load(path)
    save(path, {name: value for name, value in tensors.items() if name != "looks"}, "image")
    with pytest.raises(BadInput, match="no index of format"):
        load(path)
    with pytest.raises(BadInput, match="no file"):
        Near(tmp_path, index="absent")


def test_what_cannot_be_judged_is_refused(tmp_path):
    with pytest.raises(Refused, match="at least 100 items a side, not 18"):
        index(open_dataset("digits", valid=0.01))
    path = tmp_path / "same.txt"
    path.write_text("the same line again and again.\n" * 2000)
    with pytest.raises(Refused, match="look like copies"):
        index(open_dataset(path, length=32))


def test_an_index_of_texts_suits_texts_of_any_length(text):
    _, data, found = text
    assert found.suits(replace(data.items, shape=(7,)))
    assert not found.suits(open_dataset("digits").items)
