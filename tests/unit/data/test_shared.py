"""The well-known data sets, by path."""

import pytest
import torch

from genloom import data


@pytest.mark.slow
def test_mnist(shared_data):
    dataset = data.open_dataset(shared_data / "mnist")
    test = data.open_test(dataset)
    assert (len(dataset.train), len(dataset.valid), len(test)) == (54_000, 6_000, 10_000)
    assert dataset.items.shape == (1, 28, 28) and dataset.items.classes == tuple("0123456789")
    assert test.cond["label"][:5].tolist() == [7, 2, 1, 0, 4]
    assert dataset.train.names[0] == "train-images-idx3-ubyte.gz[0]"
    assert dataset.train.cond["label"][:3].tolist() == [5, 0, 4]


@pytest.mark.slow
def test_cifar(shared_data):
    dataset = data.open_dataset(shared_data / "cifar10-10k", valid=0.0)
    assert (len(dataset.train), len(data.open_test(dataset))) == (10_000, 1_000)
    counts = [1005, 974, 1032, 1016, 999, 937, 1030, 1001, 1025, 981]
    assert torch.bincount(dataset.train.cond["label"]).tolist() == counts
    assert dataset.items.classes[dataset.train.cond["label"][0]] == "frog"


@pytest.mark.slow
def test_noto_emoji_has_captions_and_white_paper(shared_data):
    dataset = data.open_dataset(shared_data / "noto-emoji", size=24, valid=0.0, test=0.0)
    assert dataset.items.shape == (3, 24, 24) and dataset.items.classes == ()
    assert len(dataset.train) == len(dataset.captions) == 1650
    row = dataset.train.names.index("png72/emoji_u1f64c.png")
    assert dataset.captions[row] == "raising hands"
    assert (dataset.train.items[:, :, 0, 0] == 255).float().mean() > 0.9


def test_pneumonia_duplicates_are_found(shared_data):
    report = data.check(shared_data / "pneumoniamnist")
    assert report.parts == {"train": 4708, "valid": 524, "test": 624}
    within = [f for f in report.findings if "test" not in f.path and "val" not in f.path]
    assert sum(f.code == "duplicate" for f in within) == 18


def test_tiny_shakespeare_by_the_usual_split(shared_data):
    dataset = data.open_dataset(shared_data / "tiny-shakespeare", length=64, test=0.0)
    assert dataset.items.lexicon.vocab == 65
    assert len(dataset.train) * 64 <= 1_003_854 < len(dataset.train) * 64 + 64
    first = dataset.items.read(dataset.train.items[0])
    assert first.startswith("First Citizen:\nBefore we proceed")


def test_names(shared_data):
    dataset = data.open_dataset(shared_data / "names", length=32)
    assert dataset.items.kind == "text" and dataset.items.lexicon.vocab == 27
