from __future__ import annotations

import copy
from itertools import product

import pytest
import torch

from genloom.core import Rng, Tokens
from genloom.errors import BadInput
from genloom.learner import Learner, Micro
from genloom.models.frames import Frames
from genloom.options import TrainOptions
from genloom.sampling import sample

SMALL = Tokens((2, 2), 3, 2)


def model(space=SMALL, **options) -> Frames:
    """A small one whose weights are far from its start."""
    made = Frames(space, {}, width=8, hidden=6, **options)
    with torch.no_grad():
        for parameter in made.parameters():
            parameter.add_(0.5 * torch.randn_like(parameter))
    return made.eval()


def every_piece(frames: int, keys: int):
    """All pieces of at most so many frames, filled up: int64 (n, frames, keys)."""
    cells = list(product(range(2), repeat=keys))
    for length in range(frames + 1):
        for piece in product(cells, repeat=length):
            yield torch.tensor([*piece, *[(2,) * keys] * (frames - length)])


@torch.no_grad()
@pytest.mark.parametrize("within", [False, True])
@pytest.mark.parametrize("cell", ["rnn", "lstm", "gru"])
def test_the_likelihood_sums_to_one_over_all_pieces(within, cell):
    every = torch.stack(list(every_piece(2, 2)))
    assert len(every) == 1 + 4 + 16
    nats = model(within=within, cell=cell).log_prob(every, {})
    assert float(nats.exp().sum()) == pytest.approx(1, abs=1e-5)


@torch.no_grad()
def test_it_sums_to_one_without_an_end_and_with_more_letters():
    every = torch.tensor(list(product(range(3), repeat=4))).view(-1, 2, 2)
    nats = model(Tokens((2, 2), 3)).log_prob(every, {})
    assert float(nats.exp().sum()) == pytest.approx(1, abs=1e-5)


@torch.no_grad()
@pytest.mark.parametrize("within", [False, True])
def test_samples_come_as_often_as_the_likelihood_says(within):
    made = model(within=within)
    if within:
        made.head.direct.add_(3)
    every = torch.stack(list(every_piece(2, 2)))
    drawn = sample(made, 4000, batch=500)
    count = (drawn[:, None] == every).flatten(2).all(2).double().mean(0)
    assert count.sum().item() == pytest.approx(1)  # nothing else is drawn
    assert torch.allclose(count, made.log_prob(every, {}).exp().double(), atol=0.03)


@torch.no_grad()
def test_keys_depend_on_each_other_only_within():
    a, b = torch.tensor([[[0, 1], [2, 2]]]), torch.tensor([[[1, 1], [2, 2]]])
    for within in (False, True):
        made = model(within=within)
        pieces = made.pieces(torch.cat([a, b]))
        memory = made.cells(made.head.one_hot(pieces.x[:, :-1]), {})
        second = made.head.log_prob(memory[:, 0], pieces.x[:, 0])[:, 1]
        assert bool(second[0] != second[1]) == within


@torch.no_grad()
def test_what_fills_up_costs_nothing_and_pieces_of_a_row_are_apart():
    made = model(Tokens((6, 3), 3, 2))
    one, two = torch.randint(0, 2, (2, 3)), torch.randint(0, 2, (1, 3))
    over = torch.full((1, 3), 2)
    shared = torch.cat([one, over, two, over, over])[None]
    alone = [torch.cat([piece, *[over] * (6 - len(piece))]) for piece in (one, two)]
    apart = made.log_prob(torch.stack(alone), {})
    padded = torch.cat([shared, over[None]], 1)
    assert made.log_prob(padded, {}).item() == pytest.approx(apart.sum().item(), abs=1e-5)


@torch.no_grad()
def test_a_piece_that_fills_all_frames_needs_no_end():
    made = model(Tokens((1, 2), 3, 2))
    cells, over, pieces = made.frame_log_prob(torch.tensor([[[0, 1]], [[2, 2]]]), {})
    assert pieces.counted.tolist() == [[True], [True]] and pieces.over.tolist() == [[False], [True]]
    assert float(over.exp().sum()) == pytest.approx(1, abs=1e-6)
    assert cells[1].item() == 0


@torch.no_grad()
def test_sampling_remembers_what_training_does():
    made = model(Tokens((5, 3), 3, 2), dropout=0.5)
    x = torch.randint(0, 2, (4, 5, 3))
    whole = made.cells(made.head.one_hot(x[:, :-1]), {})
    memory, states = made.cells.start({}, 4)
    for t in range(5):
        assert torch.allclose(memory, whole[:, t], atol=1e-6)
        memory, states = made.cells.follow(made.head.one_hot(x[:, t]), {}, states)


def test_it_learns_with_several_pieces_in_a_row():
    made = Frames(Tokens((8, 3), 3, 2), {}, width=16, hidden=8, dropout=0.2)
    rising = torch.tensor([[1, 0, 0], [0, 1, 0], [0, 0, 1], [2, 2, 2]])
    x = torch.cat([rising, rising]).expand(8, -1, -1)
    learner = Learner(made, TrainOptions(lr=0.02, schedule="constant", warmup=0.0), 150)
    for index in range(150):
        learner.step(index, [Micro(x, {}, 0, 8, range(8))])
    assert made.eval().log_prob(x[:1], {}).detach().item() > -0.5
    drawn = sample(made, 20)
    assert (drawn[:, :4] == rising).flatten(1).all(1).double().mean() > 0.8


def test_micro_batches_of_several_pieces_equal_the_whole_batch():
    made = Frames(Tokens((6, 3), 3, 2), {}, width=8, hidden=4, dropout=0.4)
    x = torch.randint(0, 2, (4, 6, 3))
    x[:2, 3:] = x[2:, [1, 3, 4, 5]] = 2  # a piece in each of two rows, and two in each other
    grads = []
    for count in (1, 2):
        model, size = copy.deepcopy(made), 4 // count
        learner = Learner(model, TrainOptions(lr=0.1, eps=1e-2, schedule="constant", warmup=0), 2)
        micros = [Micro(x[k * size :][:size], {}, k * size, 4, range(size)) for k in range(count)]
        learner.step(0, micros)
        grads.append(model.cells.enter.weight.detach())
    assert torch.allclose(*grads, atol=1e-6)
    assert not torch.allclose(grads[0], made.cells.enter.weight, atol=1e-3)


def test_a_condition_that_it_would_not_read_is_refused():
    with pytest.raises(BadInput, match="not caption: take"):
        Frames(SMALL, {"caption": Tokens((4,), 5), "label": Tokens((), 2)})


@torch.no_grad()
def test_it_begins_as_the_model_of_independent_keys():
    made = Frames(Tokens((5, 2), 3, 2), {}, within=False).eval()
    made.head.out.weight.zero_()
    made.over.weight.zero_()
    x = torch.tensor([[[1, 0], [1, 0], [0, 1], [0, 0], [2, 2]]])
    made.prepare(x, {})
    cells, over, _ = made.frame_log_prob(x, {})
    p = torch.tensor([0.5 * 0.75, 0.5 * 0.75, 0.5 * 0.25, 0.5 * 0.75, 1.0])
    assert torch.allclose(cells[0].exp(), p, atol=1e-5)
    assert torch.allclose(over[0].exp(), torch.tensor([0.8, 0.8, 0.8, 0.8, 0.2]), atol=1e-5)


def test_temperature_sharpens():
    made = model(Tokens((3, 4), 3, 2))
    cold = sample(made, 50, temperature=0.05)
    assert len(cold.unique(dim=0)) < len(sample(made, 50, temperature=2.0).unique(dim=0))
    *_, last = made.sample_steps(Rng([0, 1]), {})
    assert last.shape == (2, 3, 4)


def test_what_is_no_grid_is_refused():
    with pytest.raises(BadInput, match="codec"):
        Frames(Tokens((4,), 9, 8), {})
    with pytest.raises(BadInput, match="last token"):
        Frames(Tokens((4, 2), 9, 3), {})
