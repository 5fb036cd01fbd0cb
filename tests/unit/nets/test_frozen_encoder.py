"""Trained text encoders of transformers: whole, frozen, read as their library reads them."""

from __future__ import annotations

import copy
import json
from functools import partial

import pytest
import torch
from tests.unit.nets.tiny_text import WORDS, made

from genloom.core import Tokens
from genloom.errors import BadInput
from genloom.nets.dit import Dit
from genloom.nets.embed import ConditionSequence
from genloom.nets.text import ENCODERS, FrozenEncoder, FrozenRows
from genloom.nets.unet import UNet

transformers = pytest.importorskip("transformers")
pytestmark = pytest.mark.filterwarnings("ignore")

CAPTION = {"caption": Tokens((6,), len(WORDS) + 1)}
TEXTS = torch.tensor([[3, 5, 6, 9, 4, 0], [3, 7, 4, 0, 0, 0], [-1] * 6, [0] * 6])


@pytest.fixture(scope="module", params=["bert", "clip", "t5"])
def both(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    return folder, made(request.param, folder)


def test_states_are_those_of_the_library_whatever_fills_up(both):
    folder, peer = both
    encoder = FrozenEncoder(str(folder))
    assert encoder.width == 16 and encoder.vocab == len(WORDS)
    found = encoder.encode(TEXTS[:2])
    for row, tokens in zip(found, TEXTS[:2], strict=True):
        ids = tokens[tokens > 0][None] - 1
        with torch.no_grad():
            wanted = peer(input_ids=ids).last_hidden_state[0]
        torch.testing.assert_close(row[: ids.shape[1]], wanted, atol=1e-5, rtol=1e-4)
    assert found.isfinite().all() and not found.requires_grad


def test_a_text_that_is_asked_for_again_is_remembered(both):
    encoder = FrozenEncoder(str(both[0]))
    with torch.inference_mode():
        first = encoder.encode(TEXTS[:2])
    assert encoder.encode(TEXTS[:2].clone()) is first and not first.is_inference()
    assert not torch.equal(encoder.encode(TEXTS[:2].flip(0)), first)


@pytest.mark.parametrize(
    "net", [partial(UNet, width=8, levels=1, head=8), partial(Dit, width=16, layers=1)]
)
def test_nets_read_by_it_and_leave_it_as_it_is(both, net):
    torch.manual_seed(0)
    made = net(1, 1, 2, CAPTION, text_encoder=str(both[0]))
    (rows,) = (m for m in made.modules() if isinstance(m, FrozenRows))
    assert not any("model" in name for name in made.state_dict())
    assert copy.deepcopy(made).sequence.rows["caption"].encoder is rows.encoder
    for p in made.parameters():
        torch.nn.init.normal_(p, std=0.3)
    x, t = torch.randn(4, 1, 8, 8), torch.zeros(4)
    found = made(x, t, {"caption": TEXTS})
    other = made(x, t, {"caption": TEXTS.flip(0)})
    assert (found - other).abs().amax((1, 2, 3)).min() > 1e-4
    found.sum().backward()
    assert rows.map.weight.grad.abs().max() > 0
    assert all(p.grad is None and not p.requires_grad for p in rows.encoder.model.parameters())


def test_hidden_texts_and_filling_have_the_learned_row(both):
    sequence = ConditionSequence(CAPTION, 8, frozen=str(both[0]))
    with torch.no_grad():
        sequence.rows["caption"].null.fill_(7.0)
    found = sequence({"caption": TEXTS}, 4)
    null = torch.full((8,), 7.0)
    assert torch.equal(found[2:], null.expand(2, 6, 8)) and torch.equal(found[1, 3:], found[2, 3:])
    assert torch.equal(sequence({}, 1), null.expand(1, 6, 8))
    assert (found[:2, :3] - null).abs().min() > 0


def test_what_is_no_whole_encoder_is_refused(tmp_path):
    made("bert", tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps({**config, "num_hidden_layers": 3}))
    with pytest.raises(BadInput, match=r"model.safetensors lacks 16 weights, such as"):
        FrozenEncoder(str(tmp_path))
    told = {**config, "model_type": "gpt2", "auto_map": {"AutoModel": "evil.Evil"}}
    (tmp_path / "config.json").write_text(json.dumps(told))
    with pytest.raises(BadInput, match=r"is a 'gpt2'; text encoders are bert, clip"):
        FrozenEncoder(str(tmp_path))
    (tmp_path / "config.json").write_text(json.dumps(config))
    with pytest.raises(BadInput, match=r"texts are 13 of 10 pieces, .* reads 12 of 10"):
        UNet(1, 1, 2, {"caption": Tokens((13,), 11)}, text_encoder=str(tmp_path))
    (tmp_path / "model.safetensors").rename(tmp_path / "pytorch_model.bin")
    with pytest.raises(BadInput, match=r"holds no model.safetensors"):
        FrozenEncoder(str(tmp_path))


def test_the_library_has_every_class_of_the_table():
    assert all(hasattr(transformers, name) for name in ENCODERS.values())
