"""The Inception network: its size, its loading, its refusals. Weights are random ones."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file

from genloom.core import Items
from genloom.errors import BadInput
from genloom.metrics.inception import Inception, load
from genloom.metrics.measures import inception_logits

GREY = Items("image", (1, 28, 28))


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A file in the layout of pt_inception-2015-12-05, without the counters of batch norm."""
    torch.manual_seed(0)
    state = {k: v for k, v in Inception().state_dict().items() if "num_batches" not in k}
    path = tmp_path_factory.mktemp("weights") / "inception.safetensors"
    save_file(state, str(path))
    return path, state


def test_it_has_the_published_number_of_parameters():
    """23,834,568 with 1000 classes and no auxiliary head; here 1008."""
    count = sum(p.numel() for p in Inception().parameters())
    assert count == 23_834_568 + 8 * 2049
    names = Inception().state_dict()
    for name, shape in {
        "Conv2d_1a_3x3.conv.weight": (32, 3, 3, 3),
        "Mixed_5b.branch5x5_2.bn.running_mean": (64,),
        "Mixed_6b.branch7x7dbl_5.conv.weight": (192, 128, 1, 7),
        "Mixed_7a.branch7x7x3_4.conv.weight": (192, 192, 3, 3),
        "Mixed_7c.branch3x3dbl_3b.conv.weight": (384, 384, 3, 1),
        "fc.weight": (1008, 2048),
    }.items():
        assert names[name].shape == shape


def test_features_and_logits(weights):
    extractor = load(weights[0], GREY)
    items = torch.randint(256, (2, 1, 28, 28)).to(torch.uint8)
    found = extractor(items)
    assert found.shape == (2, 2048) and found.dtype == torch.float64
    assert inception_logits(extractor, items).shape == (2, 1008)
    assert extractor.id.startswith("inception2048@") and "bicubic to 299" in extractor.id
    colour = load(weights[0], Items("image", (3, 28, 28)))
    assert torch.allclose(colour(items.expand(-1, 3, -1, -1)), found)


def test_another_file_is_refused(weights, tmp_path):
    path, state = weights
    with pytest.raises(BadInput, match="does not exist"):
        load(tmp_path / "absent.safetensors", GREY)
    bad = tmp_path / "weights.pth"
    bad.write_bytes(b"\x80\x04 not safetensors")
    with pytest.raises(BadInput, match="is not safetensors"):
        load(bad, GREY)
    save_file({k: v for k, v in state.items() if k != "fc.weight"}, str(bad))
    with pytest.raises(BadInput, match=r"lacks 1 of .* the first is fc.weight"):
        load(bad, GREY)
    with pytest.raises(BadInput, match="grey or RGB"):
        load(path, Items("points", (2,)))
