"""Masked diffusion: the bound, documents in a row, sampling in any order, and infilling."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from torch import nn

from genloom.core import Real, Rng, Tokens
from genloom.models.masked_diffusion import MaskedDiffusion
from genloom.nets.bidirectional import Bidirectional
from genloom.optim import build

END = 5
DOCUMENTS = Tokens((8,), 6, end=END)


class Exact(nn.Module):
    """The posterior of a law over (V,) * L, which it knows by heart."""

    def __init__(self, law: torch.Tensor):
        super().__init__()
        self.p = nn.Parameter(law)
        self.every = torch.cartesian_prod(*(torch.arange(n) for n in law.shape))

    def forward(self, tokens, cond, begin=None):
        fits = (tokens[:, None] == self.every) | (tokens[:, None] == self.p.shape[0])
        p = fits.all(-1) * self.p.flatten()  # (B, V^L)
        one = nn.functional.one_hot(self.every, self.p.shape[0]).double()
        marginal = torch.einsum("bn,nlv->blv", p, one)
        return (marginal / marginal.sum(-1, keepdim=True)).clamp(min=1e-30).log()


def exact() -> tuple[MaskedDiffusion, torch.Tensor, torch.Tensor]:
    """A model whose net is exact, all its data, and their probabilities."""
    torch.manual_seed(0)
    law = torch.randn(3, 3, 3, dtype=torch.float64).mul(1.5).exp()
    net = Exact(law / law.sum())
    model = MaskedDiffusion(Tokens((3,), 3), {})
    model.net = net
    return model.eval(), net.every, net.p.flatten().detach()


def awake(space=DOCUMENTS, conditions=None) -> MaskedDiffusion:
    """A model whose weights are not small."""
    torch.manual_seed(0)
    model = MaskedDiffusion(space, conditions or {})
    for p in model.parameters():
        nn.init.normal_(p, std=0.3)
    return model.eval()


def last(guesses) -> torch.Tensor:
    with torch.inference_mode():
        *_, x = guesses
    return x


@torch.no_grad()
def test_an_exact_net_makes_the_bound_tight():
    """The mean over how many are hidden, and which, is log p(x) for every x: so it sums to 1."""
    model, every, p = exact()
    bound = torch.zeros(len(every), dtype=torch.float64)
    for k in (1, 2, 3):
        sets = list(itertools.combinations(range(3), k))
        for places in sets:
            hidden = torch.zeros(len(every), 3, dtype=torch.bool)
            hidden[:, list(places)] = True
            bound -= model.hidden_nats(every, {}, hidden).double().sum(1) / k / len(sets)
    torch.testing.assert_close(bound, p.log(), atol=1e-5, rtol=1e-5)


def test_the_estimate_of_the_bound_has_its_mean():
    model, every, p = exact()
    found = model.log_prob(every.repeat(150, 1), {}).view(150, -1)
    assert -(found.mean(0) * p).sum().item() == pytest.approx(-(p * p.log()).sum().item(), abs=0.02)
    assert torch.equal(found.flatten(), model.log_prob(every.repeat(150, 1), {}))


@torch.no_grad()
def test_the_loss_is_the_bound_a_token():
    model, every, p = exact()
    torch.manual_seed(1)
    x = every[torch.multinomial(p, 40_000, replacement=True)]
    entropy = -(p * p.log()).sum().item()
    assert model.loss(x, {})["nats"].item() == pytest.approx(entropy / 3, rel=0.03)


@torch.no_grad()
def test_documents_of_a_row_do_not_see_each_other():
    model = awake()
    row = torch.tensor([[1, 2, 3, END, 0, 4, END, END]])
    hidden = torch.tensor([[0, 1, 1, 0, 1, 0, 0, 0]]).bool()
    together = model.hidden_nats(row, {}, hidden)
    alone = torch.tensor([[1, 2, 3, *[END] * 5], [0, 4, *[END] * 6]])
    parts = torch.tensor([[0, 1, 1, *[0] * 5], [1, *[0] * 7]]).bool()
    apart = model.hidden_nats(alone, {}, parts)
    torch.testing.assert_close(together[0, 1:3], apart[0, 1:3])
    torch.testing.assert_close(together[0, 4], apart[1, 0])
    sizes = model._size_nats(torch.cat([row, alone]), {}).sum(1)
    torch.testing.assert_close(sizes[0], sizes[1] + sizes[2])


@torch.no_grad()
def test_lengths_have_a_law():
    """Of 0 to 8 tokens, a row without an end among them."""
    model, conditions = awake(conditions={"label": Tokens((), 2)}), {"label": torch.tensor([1])}
    x = torch.tensor([[1] * m + [END] * (8 - m) for m in range(9)])
    label = {"label": conditions["label"].expand(9)}
    nats = model._size_nats(x, label).sum(1)
    assert (-nats).exp().sum().item() == pytest.approx(1, abs=1e-5)
    assert not torch.allclose(nats, model._size_nats(x, {}).sum(1))


def test_the_law_of_lengths_starts_where_the_data_are():
    model = awake(Tokens((4,), 6, end=END))
    x = torch.tensor([[0, END, 1, END]] * 6 + [[0, 1, 2, 3]] * 3 + [[0, 0, END, END]])
    model.prepare(x, {})
    wanted = (torch.tensor([0.0, 12, 1, 0, 3]) + 0.2) / 17
    torch.testing.assert_close(model.size.exp(), wanted)


def test_the_loss_is_of_letters_and_lengths():
    model = awake()
    torch.manual_seed(0)
    x = torch.full((4, 8), END)
    terms = model.loss(x, {})
    assert terms["nats"] == 0  # what fills up is never hidden
    only = model._size_nats(x, {})[:, 0].sum() / x.numel()
    torch.testing.assert_close(terms["length"], only)


def test_a_sample_is_one_document():
    model = awake()
    with torch.no_grad():
        model.size.zero_()
    x = last(model.sample_steps(Rng(range(64)), {}, steps=3))
    ends = x == END
    assert x.max() <= END and ends.any() and not ends.all()
    assert torch.equal(ends, ends.cummax(1).values)  # and none before the last letter
    counts = (~ends).sum(1)
    assert len(counts.unique()) >= 6


def test_the_end_may_be_the_first_token():
    model = awake(Tokens((8,), 6, end=0))
    with torch.no_grad():
        model.size.zero_()[4:] = 50.0
    x = last(model.sample_steps(Rng(range(8)), {}, steps=3))
    assert (x[:, :4] != 0).all()


@pytest.mark.parametrize(("steps", "order", "near"), [(3, "random", True), (1, "random", False)])
def test_one_token_a_step_follows_the_law(steps, order, near):
    """Tokens of one step do not know of each other."""
    model, _, p = exact()
    n = 6000
    x = last(model.sample_steps(Rng(range(n)), {}, steps=steps, order=order))
    index = (x * torch.tensor([9, 3, 1])).sum(1)
    found = torch.bincount(index, minlength=27) / n
    far = 0.5 * (found - p).abs().sum().item()
    assert (far < 0.04) is near, far


def test_all_of_one_step_are_drawn_from_what_was_seen():
    model = awake(Tokens((12,), 6))
    seen = []
    model.net.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    x = last(model.sample_steps(Rng([1, 2]), {}, steps=4))
    assert [int((row == 6).sum()) for row in seen] == [24, 18, 12, 6]
    assert x.max() < 6
    seen.clear()
    last(model.sample_steps(Rng([1, 2]), {}, steps=100))
    assert len(seen) == 12


def test_the_confident_order_keeps_what_is_sure():
    law = torch.full((3, 3), 1e-9, dtype=torch.float64)
    law[:, 2] = torch.tensor([0.3, 0.3, 0.4])  # the second token is known, the first is not
    model = MaskedDiffusion(Tokens((2,), 3), {})
    model.net = Exact(law / law.sum())
    first = next(iter(model.eval().sample_steps(Rng(range(40)), {}, steps=2, order="confident")))
    second = last(model.sample_steps(Rng(range(40)), {}, steps=2, order="confident"))
    assert (second[:, 1] == 2).all() and (first[:, 0] == 2).all()  # the likeliest, yet to be drawn
    assert len(second[:, 0].unique()) == 3
    cold = last(model.sample_steps(Rng(range(40)), {}, steps=2, temperature=0.0))
    assert (cold == 2).all()
    told = model.sample_steps(Rng(range(40)), {}, steps=2, temperature=0.0, order="confident")
    seen = []
    model.net.register_forward_pre_hook(lambda _, args: seen.append(args[0].clone()))
    last(told)
    assert (seen[1] == torch.tensor([3, 2])).all()  # the second was drawn first


def test_infilling_keeps_the_rest():
    model = awake()
    source = torch.tensor([[0, 1, 2, 3, 4, END, END, END]]).expand(32, -1)
    mask = torch.zeros(32, 1, 8, dtype=torch.bool)
    mask[:, :, [1, 3, 6]] = True  # the last of them is no letter
    x = last(model.edit_steps(Rng(range(32)), {}, source, mask, steps=2, temperature=5.0))
    kept = ~mask[:, 0]
    kept[:, 6] = True
    assert torch.equal(x[kept], source[kept]) and x.shape == source.shape
    assert all(len(x[:, i].unique()) > 2 for i in (1, 3)) and (x[:, [1, 3]] < END).all()


def test_infilling_fits_what_is_seen():
    model, every, p = exact()
    source = every[torch.tensor([14])].expand(4000, -1)
    mask = torch.tensor([True, False, True]).expand(4000, 1, 3)
    x = last(model.edit_steps(Rng(range(4000)), {}, source, mask, steps=3))
    wanted = p.view(3, 3, 3)[:, source[0, 1]]
    found = torch.bincount(x[:, 0] * 3 + x[:, 2], minlength=9) / 4000
    assert 0.5 * (found - (wanted / wanted.sum()).flatten()).abs().sum() < 0.04


@pytest.mark.parametrize(("strength", "changed"), [(0.0, 0), (0.5, 4), (1.0, 8)])
def test_strength_is_the_share_that_is_drawn_anew(strength, changed):
    model, hidden = awake(Tokens((2, 4), 6)), []
    model.net.register_forward_pre_hook(lambda _, args: hidden.append((args[0] == 6).sum(1)))
    source = torch.randint(6, (5, 2, 4))
    x = last(model.edit_steps(Rng(range(5)), {}, source, strength=strength, steps=1))
    assert hidden[0].tolist() == [changed] * 5
    assert torch.equal(x, source) is (changed == 0)


def test_a_token_of_several_pixels_changes_where_all_of_them_may():
    model = awake(Tokens((2, 2), 6))
    mask = torch.ones(40, 1, 4, 4, dtype=torch.bool)
    mask[:, :, 0, 3] = mask[:, :, 2, 0] = False
    source = torch.zeros(40, 2, 2, dtype=torch.long)
    x = last(model.edit_steps(Rng(range(40)), {}, source, mask))
    assert [bool((x[:, r, c] != 0).any()) for r in (0, 1) for c in (0, 1)] == [1, 0, 0, 1]


def test_it_learns_a_language_of_documents():
    """Words that are one letter, then itself again once or twice: 4 letters, 2 lengths."""
    torch.manual_seed(0)
    net = {"width": 32, "layers": 2, "heads": 2}
    model = MaskedDiffusion(Tokens((6,), 5, end=4), {}, net=lambda *a: Bidirectional(*a, **net))
    (optimizer,) = build(model, lr=1e-2)

    def draw() -> torch.Tensor:
        letter, size = torch.randint(0, 4, (64, 1)), torch.randint(2, 4, (64, 1))
        return torch.where(torch.arange(6) < size, letter, 4)

    model.prepare(draw(), {})
    for _ in range(150):
        torch.stack(list(model.loss(draw(), {}).values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    x, model = draw(), model.eval()
    assert math.log(8) - 0.05 < -model.log_prob(x, {}).mean().item() < math.log(8) + 0.4
    made = last(model.sample_steps(Rng(range(100)), {}, steps=6))
    size = (made != 4).sum(1)
    same = torch.where(made == 4, made[:, :1], made).eq(made[:, :1]).all(1)
    assert ((size == 2) | (size == 3)).float().mean() > 0.95 and same.float().mean() > 0.9
    assert made[:, 0].bincount().min() > 10


def test_conditions_reach_the_net_and_hidden_equals_absent():
    known = {"label": Tokens((), 3), "caption": Tokens((4,), 5), "pose": Real((2,))}
    model, x = awake(Tokens((6,), 4), known), torch.zeros(2, 6, dtype=torch.long)
    pairs = {
        "label": torch.tensor([0, 1]),
        "caption": torch.tensor([[0, 1, 2, 3], [0, 1, 2, 4]]),
        "pose": torch.tensor([[0.0, 1.0], [0.0, -1.0]]),
    }
    hidden = torch.ones_like(x, dtype=torch.bool)
    for name, values in pairs.items():
        a, b = model.hidden_nats(x, {name: values}, hidden)
        assert (a - b).abs().max() > 1e-3, name
    none = {"label": torch.full((2,), -1), "caption": torch.full((2, 4), -1)}
    torch.testing.assert_close(model.hidden_nats(x, none, hidden), model.hidden_nats(x, {}, hidden))


def test_a_row_of_several_documents_shows_them_conditions():
    """What is read first is seen by all documents, and sees none of them."""
    torch.manual_seed(0)
    net = Bidirectional(4, 6, {"caption": Tokens((3,), 5)}, width=16, layers=2)
    for p in net.parameters():
        nn.init.normal_(p, std=0.3)
    tokens, begin = torch.zeros(1, 6, dtype=torch.long), torch.tensor([[0, 0, 0, 3, 3, 3]])

    def told(last: int, first: int = 0) -> torch.Tensor:
        cond = {"caption": torch.tensor([[1, 2, last]])}
        return net(tokens.index_fill(1, torch.tensor(0), first), cond, begin)[0]

    moved = (told(4) - told(3)).abs().amax(-1)
    assert moved.min() > 1e-4
    other = (told(3, first=2) - told(3)).abs().amax(-1)
    assert other[:3].min() > 1e-4 and torch.equal(other[3:], torch.zeros(3))
    with pytest.raises(ValueError, match="multiple of 4"):
        Bidirectional(4, 6, {}, width=18, heads=2)
