"""The user's classifier: it is read from TOML and safetensors, or refused with the reason."""

from __future__ import annotations

import pytest
import torch
from safetensors.torch import save_file
from torch.nn import functional as F

from genloom.data import open_dataset, open_test
from genloom.errors import BadInput
from genloom.safety.policy.classifier import Classifier, net
from genloom.safety.policy.verdict import Verdict

LAYERS = [
    {"use": "pool", "side": 8}, {"use": "flatten"}, {"use": "linear", "out": 16},
    {"use": "relu"}, {"use": "linear", "out": 2},
]  # fmt: skip
SPEC = """format = 1
shape = [1, 8, 8]
classes = ["other", "zero"]
watch = "zero"
layers = [{ use = "pool", side = 8 }, { use = "flatten" }, { use = "linear", out = 16 },
  { use = "relu" }, { use = "linear", out = 2 }]
"""


@pytest.fixture(scope="module")
def digits():
    data = open_dataset("digits")
    return data.train, open_test(data)


@pytest.fixture(scope="module")
def weights(digits):
    train, _ = digits
    torch.manual_seed(0)
    module = net((1, 8, 8), LAYERS)
    optimizer = torch.optim.Adam(module.parameters(), 0.01)
    x, y = train.items.float() / 127.5 - 1, (train.cond["label"] == 0).long()
    for _ in range(60):
        loss = F.cross_entropy(module(x), y)
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    return {name: value.detach() for name, value in module.state_dict().items()}


def write(folder, weights, spec=SPEC):
    (folder / "zero.toml").write_text(spec)
    save_file(weights, str(folder / "zero.safetensors"))
    return folder


def test_a_trained_classifier_gives_typed_verdicts(tmp_path, digits, weights):
    _, unseen = digits
    filter = Classifier(write(tmp_path, weights), file="zero.toml", flag=0.2, hold=0.5, refuse=0.9)
    outcomes = filter.check(unseen.items)
    zero = unseen.cond["label"] == 0
    refused = torch.tensor([o.verdict is Verdict.REFUSE for o in outcomes])
    assert refused[zero].double().mean() > 0.9 and refused[~zero].double().mean() < 0.02
    for outcome in outcomes:
        limit = {"allow": (0, 0.2), "flag": (0.2, 0.5), "hold": (0.5, 0.9), "refuse": (0.9, 1.01)}
        low, high = limit[outcome.verdict]
        assert low <= outcome.score < high


def test_probabilities_are_those_of_the_network(tmp_path, digits, weights):
    _, unseen = digits
    filter = Classifier(write(tmp_path, weights), file="zero.toml", refuse=0.5)
    hidden = (unseen.items.flatten(1).float() / 127.5 - 1) @ weights["2.weight"].T
    logits = (hidden + weights["2.bias"]).relu() @ weights["4.weight"].T + weights["4.bias"]
    assert torch.allclose(filter.probability(unseen.items), logits.softmax(1)[:, 1], atol=1e-6)


def test_one_logit_of_points(tmp_path):
    spec = 'format = 1\nshape = [2]\nclasses = ["far"]\nwatch = "far"\n'
    spec += 'layers = [{ use = "linear", out = 1 }]\n'
    weights = {"0.weight": torch.tensor([[1.0, 0.0]]), "0.bias": torch.tensor([-3.0])}
    filter = Classifier(write(tmp_path, weights, spec), file="zero.toml", refuse=0.5)
    assert filter.reads == ("points",)
    assert filter.probability(torch.tensor([[3.0, 9.0], [0.0, 9.0]])).tolist() == pytest.approx(
        [0.5, 0.0474259]
    )


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("format = 1", "format = 2", "format 2; 1 is read"),
        ("format = 1", "formt = 1", "no key 'formt'; did you mean 'format'"),
        ("format = 1", "", "lacks format"),
        ('"relu"', '"rellu"', "no layer 'rellu'; did you mean 'relu'"),
        ('"relu"', '"os.system"', "no layer 'os.system'"),
        ("out = 16", "out = 0", r"layers\[2\].out = 0"),
        ("out = 16", "outt = 16", "no key 'outt'; did you mean 'out'"),
        ("out = 2 ", "out = 3 ", "does not fit its layers"),
        ("side = 8", "side = 4", "does not fit its layers"),
        ("[1, 8, 8]", "[8, 8]", "neither"),
        ('watch = "zero"', 'watch = "one"', "none of the classes"),
        ('["other", "zero"]', '["zero"]', "last layer gives"),
        ('{ use = "flatten" },', "", "linear needs"),
        ("layers = [", "layers = [[", "not TOML"),
    ],
)
def test_wrong_descriptions_are_refused(tmp_path, weights, old, new, message):
    write(tmp_path, weights, SPEC.replace(old, new))
    with pytest.raises(BadInput, match=message):
        Classifier(tmp_path, file="zero.toml", refuse=0.5)


def test_wrong_weights_and_limits_are_refused(tmp_path, weights):
    write(tmp_path, weights | {"4.bias": torch.tensor([float("nan"), 0.0])})
    with pytest.raises(BadInput, match=r"4.bias is not made of finite"):
        Classifier(tmp_path, file="zero.toml", refuse=0.5)
    (tmp_path / "zero.safetensors").write_bytes(b"\x80\x04\x95")
    with pytest.raises(BadInput, match="not safetensors"):
        Classifier(tmp_path, file="zero.toml", refuse=0.5)
    write(tmp_path, weights)
    for limits in ({}, {"flag": 0.9, "refuse": 0.5}):
        with pytest.raises(BadInput, match="must not fall"):
            Classifier(tmp_path, file="zero.toml", **limits)


def test_items_of_another_shape_are_an_error(tmp_path, weights):
    filter = Classifier(write(tmp_path, weights), file="zero.toml", refuse=0.5)
    with pytest.raises(BadInput, match="Name the models"):
        filter.check(torch.zeros(1, 1, 9, 9, dtype=torch.uint8))
