"""Direct preference optimization: Eq. 7 by hand, its gradient, its reference, and what it needs."""

from __future__ import annotations

import copy
import math
from functools import partial

import pytest
import torch
import torch.nn.functional as F

from genloom.core import Tokens, rows
from genloom.errors import BadInput
from genloom.models import bases, preferences
from genloom.models.autoregressive import Autoregressive
from genloom.nets.embed import Dropout
from genloom.nets.llama import Llama
from genloom.nets.transformer import Transformer

USER, ASKED, END = 5, 6, 7
SPACE = Tokens((8,), 8, end=END, roles=((USER,), (ASKED,)))
CHOSEN = torch.tensor([[USER, 0, 1, ASKED, 2, 3, END, END], [USER, 4, ASKED, 1, 1, 1, 1, END]])
REJECTED = torch.tensor(
    [[USER, 0, 1, ASKED, 3, END, END, END], [USER, 4, ASKED, 0, END, END, END, END]]
)
ANSWERS = (((4, 7), (3, 8)), ((4, 6), (3, 5)))  # of both, where answers with their ends lie
NETS = {0: partial(Transformer, width=16, layers=1, heads=1), 2: partial(Llama, width=16, layers=1)}


def scattered(model: Autoregressive) -> Autoregressive:
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.3)
    return model


@pytest.fixture(params=NETS, ids=["all", "rank"])
def model(request, monkeypatch):
    """One that prefers, and begins with a base of random weights."""
    torch.manual_seed(0)
    base = scattered(Autoregressive(SPACE, {}, net=NETS[request.param]))
    monkeypatch.setattr(bases, "read", lambda source, model: copy.deepcopy(base))
    made = Autoregressive(
        SPACE, {}, net=NETS[request.param], learned="preferred", base="it", rank=request.param
    )
    made.prepare(CHOSEN, {"rejected": REJECTED})
    return made


def moved(model: Autoregressive) -> Autoregressive:
    """The same after some training."""
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.add_(0.1 * torch.randn_like(p))
    return model


def by_hand(model: Autoregressive, x: torch.Tensor, side: int) -> torch.Tensor:
    """Log-probabilities of the answers, token after token."""
    nats = model.token_log_prob(x, {})
    return torch.stack([row[a:b].sum() for row, (a, b) in zip(nats, ANSWERS[side])])


def test_the_loss_is_that_of_equation_7(model):
    base = bases.read("it", model)
    (loss,) = moved(model).loss(CHOSEN, {"rejected": REJECTED}).values()
    rewards = [
        0.1 * (by_hand(model, x, side) - by_hand(base, x, side))
        for side, x in enumerate((CHOSEN, REJECTED))
    ]
    margins = (rewards[0] - rewards[1]).tolist()
    wanted = sum(math.log1p(math.exp(-margin)) for margin in margins) / 2
    assert loss.item() == pytest.approx(wanted, abs=1e-6) and abs(wanted - math.log(2)) > 1e-3
    told = {name: v.item() for name, v in model.vitals().items()}
    assert told["reward_margin"] == pytest.approx(sum(margins) / 2, abs=1e-6)
    assert told["reward_accuracy"] == sum(margin > 0 for margin in margins) / 2


def test_it_is_logistic_regression_on_how_much_likelier_the_chosen_became():
    """Of the class "the first is preferred", with the weight beta and no intercept."""
    policy, reference = torch.randn(2, 2, 9, dtype=torch.float64)
    policy.requires_grad_()
    loss = preferences.loss(preferences.margins(policy, reference, 0.3))
    gains = (policy - reference).T @ torch.tensor([1.0, -1.0], dtype=torch.float64)
    (gradient,) = torch.autograd.grad(loss, policy)
    wanted = F.binary_cross_entropy(torch.sigmoid(0.3 * gains), torch.ones_like(gains))
    torch.testing.assert_close(loss, wanted)
    slope = -0.3 * torch.sigmoid(-0.3 * gains) / 9  # below Eq. 7: how wrong the reward is
    torch.testing.assert_close(gradient, torch.stack([slope, -slope]).detach())
    step = 1e-6 * torch.randn_like(policy)
    after, before = (
        preferences.loss(preferences.margins(policy.detach() + sign * step, reference, 0.3))
        for sign in (1, -1)
    )
    torch.testing.assert_close(after - before, 2 * (gradient * step).sum(), rtol=1e-5, atol=1e-12)


def test_at_the_start_nothing_is_preferred_and_the_reference_stays(model):
    pairs = {"rejected": REJECTED}
    before = copy.deepcopy(bases.read("it", model).state_dict())
    (loss,) = model.loss(CHOSEN, pairs).values()
    assert loss.item() == pytest.approx(math.log(2), abs=1e-6)  # two ways through a net
    assert model.vitals()["reward_margin"].item() == pytest.approx(0, abs=1e-6)
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=1.0)
    for _ in range(8):
        optimizer.zero_grad()
        (loss,) = model.loss(CHOSEN, pairs).values()
        loss.backward()
        optimizer.step()
    assert loss < math.log(2) - 1e-3 and model.vitals()["reward_accuracy"].item() == 1
    after = bases.read("it", model)
    with model._base_net(CHOSEN.device) as net:
        assert torch.equal(net(CHOSEN, {}), after.net(CHOSEN, {}))
    assert not torch.equal(model.net(CHOSEN, {}), after.net(CHOSEN, {}))
    assert all(torch.equal(v, before[name]) for name, v in after.state_dict().items())


def dropping(space: Tokens, conditions, *, rank: int) -> torch.nn.Module:
    """A net that drops half of what one of its branches reads or gives."""
    if not rank:
        return NETS[0](space, conditions, dropout=0.5)
    net = NETS[rank](space, conditions)
    net.blocks[0].norm2 = torch.nn.Sequential(net.blocks[0].norm2, Dropout(0.5))
    return net


@pytest.mark.parametrize("rank", NETS)
def test_dropout_is_of_the_batch_and_never_of_the_reference(rank, monkeypatch):
    torch.manual_seed(0)
    net = partial(dropping, rank=rank)
    base = scattered(Autoregressive(SPACE, {}, net=net))
    monkeypatch.setattr(bases, "read", lambda source, model: copy.deepcopy(base))
    model = Autoregressive(SPACE, {}, net=net, learned="preferred", base="it", rank=rank)
    pairs = {"rejected": REJECTED}
    model.prepare(CHOSEN, pairs)

    def told(start: int, n: int) -> float:
        torch.manual_seed(3)
        part = slice(start, start + n)
        with rows(start, 2):
            terms = model.loss(CHOSEN[part], {"rejected": REJECTED[part]})
        return terms["preferred"].item()

    whole = told(0, 2)
    assert whole == pytest.approx((told(0, 1) + told(1, 1)) / 2, abs=1e-6)
    assert abs(whole - math.log(2)) > 1e-3 and model.net.training
    with model._base_net(CHOSEN.device) as reference:
        assert torch.equal(reference(CHOSEN, {}), base.eval().net(CHOSEN, {}))
    assert all(module.training for module in model.net.modules())
    (still,) = model.eval().loss(CHOSEN, pairs).values()
    assert still.item() == pytest.approx(math.log(2), abs=1e-6)


def test_the_reference_is_no_part_of_the_model_and_copies_share_it(model):
    names = set(model.state_dict())
    twin = copy.deepcopy(model)
    model.loss(CHOSEN, {"rejected": REJECTED})
    assert set(model.state_dict()) == names == set(twin.state_dict())
    assert twin._reference is model._reference and twin.net is not model.net
    if not model.rank:
        net = model._reference._net
        assert net is not None and not any(p.requires_grad for p in net.parameters())


def test_the_chosen_answers_may_be_kept_likely(model):
    model.nll = 0.5
    terms = model.loss(CHOSEN, {"rejected": REJECTED})
    nats = -by_hand(model, CHOSEN, 0).sum() / sum(b - a for a, b in ANSWERS[0])
    torch.testing.assert_close(terms["nats"], 0.5 * nats)
    assert list(terms) == ["preferred", "nats"]


def test_other_ways_to_learn_read_the_chosen_document_alone():
    model = scattered(Autoregressive(SPACE, {}, net=NETS[0], learned="answers"))
    with_pairs = model.loss(CHOSEN, {"rejected": REJECTED})["nats"]
    torch.testing.assert_close(with_pairs, model.loss(CHOSEN, {})["nats"], rtol=0, atol=0)


def test_what_it_needs_is_said(model):
    with pytest.raises(BadInput, match=r"preferences change a trained model: name it, model\.base"):
        Autoregressive(SPACE, {}, learned="preferred")
    with pytest.raises(BadInput, match="give rows with prompt, chosen and rejected"):
        model.prepare(CHOSEN, {})
    for option in ("beta", "nll"):
        with pytest.raises(BadInput, match=r'set model\.learned = "preferred" too'):
            Autoregressive(SPACE, {}, learned="answers", **{option: 0.2})
