"""MusicVAE: it adds up to one, segments know the past by the code alone, codes lead back."""

from __future__ import annotations

import itertools
import math

import pytest
import torch

from genloom import sampling
from genloom.core import Latents, Likelihood, Real, Rng, Step, Tokens, rows
from genloom.errors import BadInput
from genloom.models.music_vae import MusicVae, parted

SMALL = {"latent": 3, "segment": 2, "width": 8}
START, LATER = Step(0, 10), Step(9, 10)


def awake(space=Tokens((4,), 3), conditions=None, **options) -> MusicVae:  # noqa: B008
    """A model whose weights are not small."""
    torch.manual_seed(0)
    model = MusicVae(space, conditions or {}, **{**SMALL, **options})
    for p in model.parameters():
        torch.nn.init.normal_(p, std=0.7)
    return model.eval()


def every(length: int, vocab: int, end: int = -1) -> torch.Tensor:
    """All data of a space; what follows an end are ends."""
    found = torch.tensor(list(itertools.product(range(vocab), repeat=length)))
    after = (found == end).cumsum(1) > 0
    return found.masked_fill(after, end).unique(dim=0)


def cost(model: MusicVae, x: torch.Tensor, z: torch.Tensor) -> torch.Tensor:
    """Nats of rows of one document each, given one code."""
    documents, row, length = parted(x, model.end)
    assert torch.equal(row, torch.arange(len(x)))
    return model._nats(documents, length, z.expand(len(x), -1), {})


def test_documents_are_found_in_rows_with_their_ends():
    x = torch.tensor([[1, 2, 9, 3, 9, 9], [9, 4, 9, 5, 6, 7], [1, 1, 1, 1, 1, 9]])
    documents, row, length = parted(x, 9)
    found = [d[:n].tolist() for d, n in zip(documents, length)]
    wanted = [[1, 2, 9], [3, 9], [9], [4, 9], [5, 6, 7], [1, 1, 1, 1, 1, 9]]
    assert found == wanted and row.tolist() == [0, 0, 1, 1, 1, 2]
    assert all((d[n:] == 9).all() for d, n in zip(documents, length))
    assert torch.equal(parted(x, -1)[0], x)


@pytest.mark.parametrize("segment", [0, 1, 2, 3, 9])
@pytest.mark.parametrize("end", [None, 2])
@torch.no_grad()
def test_what_it_says_of_all_data_adds_up_to_one(segment, end):
    model = awake(Tokens((4,), 3, end), segment=segment)
    x = every(4, 3, model.end)
    for z in torch.randn(3, 1, 3):
        assert (-cost(model, x, z)).exp().sum().item() == pytest.approx(1, abs=1e-5)


@pytest.mark.parametrize("segment", [0, 2, 3])
@torch.no_grad()
def test_it_draws_as_often_as_it_says(segment):
    model, z, n = awake(Tokens((4,), 3, 2), segment=segment), torch.randn(1, 3), 4000
    x = every(4, 3, 2)
    wanted = (-cost(model, x, z)).exp()
    draws = Rng(range(n)).uniform(4)
    *_, made = model._written(z.expand(n, -1), {}, draws, temperature=1.0)
    shares = (made[:, None] == x).all(2).double().mean(0)
    torch.testing.assert_close(shares, wanted.double(), atol=0.03, rtol=0)


@torch.no_grad()
def test_the_likeliest_tokens_are_decoded():
    model, z = awake(), torch.randn(5, 3)
    made = model.decode(z, {})
    for one, code in zip(made, z):
        others = one.repeat(3, 1)
        others[:, 3] = torch.arange(3)  # the last token decides nothing else
        assert cost(model, others, code[None]).argmin() == one[3]


@pytest.mark.parametrize("segment", [1, 2, 3, 0])
@torch.no_grad()
def test_a_segment_knows_the_token_before_it_and_no_others_of_the_past(segment):
    """A token is read one place later, and counts to the end of the segment of that place."""
    model, said = awake(Tokens((6,), 3), segment=segment), []
    model.head.register_forward_hook(lambda _, args, made: said.append(made.flatten(0, 1)))
    for place in range(5):
        for token in (0, 1):
            x = torch.zeros(1, 6, dtype=torch.long)
            x[0, place] = token
            cost(model, x, torch.zeros(1, 3))
        changed = (said[-2] - said[-1]).abs().amax(1).nonzero().flatten().tolist()
        stop = 6 if not segment else segment * ((place + 1) // segment + 1)
        assert changed == list(range(place + 1, stop))


@torch.no_grad()
def test_a_document_is_what_it_is_alone():
    model = awake(Tokens((8,), 4, 3))
    row, alone = torch.tensor([[1, 3, 0, 2, 1, 3, 3, 3]]), torch.tensor([[0, 2, 1, 3, 3, 3, 3, 3]])
    both, single = (parted(x, 3) for x in (row, alone))
    for a, b in zip(model._posterior(both[0], both[2], {}), model._posterior(*single[::2], {})):
        torch.testing.assert_close(a[1:], b)
    code = torch.ones(1, 3)
    nats = model._nats(both[0], both[2], code.expand(2, -1), {})[1:]
    torch.testing.assert_close(nats, model._nats(single[0], single[2], code, {}))
    first = torch.tensor([[1, 3, 3, 3, 3, 3, 3, 3]])
    torch.testing.assert_close(model.encode(row, {}), model.encode(first, {}))


@torch.no_grad()
def test_the_bound_lies_below_the_likelihood_and_comes_near_it():
    """One number is the code, so that the integral over it can be taken on a grid."""
    model = awake(Tokens((3,), 2), latent=1)
    torch.nn.init.normal_(model.posterior.weight, std=0.03)
    torch.nn.init.zeros_(model.posterior.bias)
    x, grid = every(3, 2), torch.linspace(-8, 8, 201)
    density = torch.exp(-(grid**2) / 2) / math.sqrt(2 * math.pi)
    nats = cost(model, x.repeat(201, 1), grid.repeat_interleave(8)[:, None]).view(201, 8)
    exact = ((-nats).exp() * density[:, None]).sum(0).mul(16 / 200).log()
    assert exact.exp().sum().item() == pytest.approx(1, abs=1e-3)
    many = x.repeat(200, 1)
    one, few, lots = (model.bound(many, {}, k).view(200, -1).mean(0).float() for k in (1, 16, 128))
    assert (one < few).all() and (few < exact + 0.02).all()
    torch.testing.assert_close(lots, exact, atol=0.05, rtol=0)
    assert torch.equal(model.log_prob(many, {}), model.bound(many, {}, 16))


def test_free_bits_and_the_start_of_a_run_make_the_rate_free():
    space = Tokens((4,), 3)
    x = torch.randint(0, 3, (6, 4))

    def terms(step: Step, **options: float) -> dict[str, float]:
        model = awake(space, **{"beta": 1.0, "free_bits": 0.0, **options})
        torch.manual_seed(1)
        ((_, found),) = model.losses(x, {}, step)
        rate = model.vitals()["posterior_nats"].item()
        return {**{k: v.item() for k, v in found.items()}, "nats": rate}

    full = terms(LATER)
    assert full["rate"] * x.numel() == pytest.approx(full["nats"] * len(x), rel=1e-4)
    assert terms(LATER, beta=0.5)["rate"] == pytest.approx(full["rate"] / 2)
    assert terms(START, anneal=0.5)["rate"] == 0 < terms(START, anneal=0.0)["rate"]
    assert terms(Step(2, 10), anneal=0.4)["rate"] == pytest.approx(full["rate"] / 2)
    bits = full["nats"] / math.log(2)
    assert terms(LATER, free_bits=100 * bits)["rate"] == 0
    saved = full["rate"] - terms(LATER, free_bits=0.1)["rate"]  # of each row
    assert saved == pytest.approx(0.1 * math.log(2) * len(x) / x.numel(), rel=1e-3)
    assert terms(LATER, free_bits=bits)["distortion"] == pytest.approx(full["distortion"])


def test_a_batch_in_parts_costs_what_the_whole_batch_costs():
    model = awake(Tokens((8,), 4, 3), {"label": Tokens((), 3)}, drop=0.5).train()
    x, cond = torch.randint(0, 4, (4, 8)), {"label": torch.tensor([0, 1, 2, -1])}

    def drawn(start: int, stop: int) -> torch.Tensor:
        torch.manual_seed(1)
        with rows(start, 4):
            known = {"label": cond["label"][start:stop]}
            ((_, terms),) = model.losses(x[start:stop], known, LATER)
        return torch.stack(list(terms.values())) * (stop - start)

    torch.testing.assert_close(drawn(0, 4), drawn(0, 1) + drawn(1, 4))


def test_ends_of_a_way_between_codes_are_the_items_themselves():
    torch.manual_seed(0)
    space = Tokens((12,), 6, 5)
    model = MusicVae(space, {}, latent=8, segment=4, width=48)
    assert isinstance(model, Latents) and isinstance(model, Likelihood)
    x = torch.randint(0, 5, (8, 12))
    x[:, 10:] = 5
    x[4:, 7:] = 5
    optimizer = torch.optim.Adam(model.parameters(), lr=1e-2)
    before = model.log_prob(x, {}).mean().item()
    for step in range(150):
        ((_, terms),) = model.losses(x, {}, Step(step, 150))
        torch.stack(list(terms.values())).sum().backward()
        optimizer.step()
        optimizer.zero_grad()
    with torch.inference_mode():
        a, b = model.encode(x[:1], {}), model.encode(x[-1:], {})
        way = model.decode(torch.cat([torch.lerp(a, b, w / 8) for w in range(9)]), {})
        again = model.decode(model.encode(x, {}), {})
    assert (again == x)[x != 5].double().mean() > 0.9  # a guess is right one time in five
    assert torch.equal(way[0], again[0]) and torch.equal(way[-1], again[-1])
    assert model.log_prob(x, {}).mean() > before + 5
    assert (sampling.sample(model, 4) < 6).all()


def test_a_condition_that_it_would_not_read_is_refused():
    with pytest.raises(BadInput, match="not seen"):
        MusicVae(Tokens((4,), 3), {"seen": Real((1, 2, 2))})
