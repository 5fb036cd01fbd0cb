"""CycleGAN: terms by hand, the pool of earlier samples, both directions, a resumed run."""

import copy
from functools import partial

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from genloom.core import Real, Step, rows
from genloom.errors import BadInput
from genloom.learner import Learner, Micro
from genloom.models.cyclegan import CycleGan, Pool
from genloom.nets.translator import translator_players
from genloom.options import TrainOptions
from genloom.sampling import sample

PICTURE = Real((1, 16, 16), levels=256)
SOURCE = {"source": PICTURE}
small = partial(translator_players, width=8, blocks=1, patch_width=8)


class Scale(nn.Module):
    """A generator: the picture times a number."""

    def __init__(self, value: float):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(value))

    def forward(self, source, z, cond):
        assert z is None and not cond
        return self.value * source


class Judge(nn.Module):
    """A discriminator of one patch a pixel; it sees neither the source nor a label."""

    def __init__(self):
        super().__init__()
        self.value = nn.Parameter(torch.tensor(0.7))

    def forward(self, x, cond):
        assert not cond
        return (self.value * x).flatten(1)


def toy(*values: float):
    """Players of both sides, the target's first, whose terms can be worked out by hand."""
    left = list(values)
    return lambda source, space, latent, conditions: (Scale(left.pop(0)), Judge())


def batch(n: int = 4) -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Bright targets, dark sources, unpaired."""
    noise = torch.rand(2, n, 1, 16, 16) * 0.5
    return noise[0] + 0.3, {"source": noise[1] - 0.8}


def test_the_terms_are_those_of_the_paper():
    x, cond = batch()
    a = cond["source"]
    model = CycleGan(PICTURE, SOURCE, net=toy(3.0, 0.5), cycle=10.0, identity=0.5, pool=0)
    found = {name: dict(terms) for name, terms in model.losses(x, cond, Step(0, 9))}
    to_x, to_a = 3 * a, 0.5 * x

    def half_square(v, wanted):
        return F.mse_loss(0.7 * v, torch.full_like(v, wanted)) / 2

    expected = {
        "generator": half_square(to_x, 1.0) + half_square(to_a, 1.0),
        "cycle": 10 * (F.l1_loss(0.5 * to_x, a) + F.l1_loss(3 * to_a, x)),
        "identity": 5 * (F.l1_loss(3 * x, x) + F.l1_loss(0.5 * a, a)),
    }
    assert found["generators"].keys() == expected.keys()
    for name, value in expected.items():
        torch.testing.assert_close(found["generators"][name], value)
    for side, real, fake in (("target", x, to_x), ("source", a, to_a)):
        value = half_square(real, 1.0) + half_square(fake, 0.0)
        torch.testing.assert_close(found["discriminators"][f"discriminator_{side}"], value)
    gap = 0.7 * ((x - to_x).mean() + (a - to_a).mean()) / 2
    torch.testing.assert_close(model.vitals()["discriminator_gap"], gap)


def test_generators_that_undo_each_other_have_no_cycle_loss():
    model = CycleGan(PICTURE, SOURCE, net=toy(2.0, 0.5), identity=0.0)
    x, cond = batch()
    terms = dict(next(model.losses(x, cond, Step(0, 9)))[1])
    assert terms.keys() == {"generator", "cycle"}
    assert terms["cycle"].item() == pytest.approx(0.0, abs=1e-6)


def test_the_adversarial_term_reaches_the_generators_alone():
    model = CycleGan(PICTURE, SOURCE, net=toy(2.0, 0.5), cycle=0.0)
    x, cond = batch()
    turns = model.losses(x, cond, Step(0, 9))
    next(turns)[1]["generator"].backward()
    assert all(p.grad is not None for p in model.generators.parameters())
    assert all(p.grad is None for p in model.discriminators.parameters())
    _, told = next(turns)
    for p in model.generators.parameters():
        p.grad = None
    sum(told.values()).backward()
    assert all(p.grad is None for p in model.generators.parameters())
    assert all(p.grad is not None for p in model.discriminators.parameters())


def test_a_pool_shows_new_pictures_until_it_is_full_and_half_of_them_then():
    torch.manual_seed(0)
    pool, shown_old, seen = Pool(5, (1,)), 0, 0
    for step in range(400):
        full = bool(pool.filled.all())
        new = torch.full((4, 1), float(step))
        before = set(pool.pictures[pool.filled].flatten().tolist())
        shown, place = pool.draw(new)
        old = (shown != new).flatten()
        assert set(shown[old].flatten().tolist()) <= before
        assert torch.equal(place[old] >= 0, torch.ones_like(place[old], dtype=torch.bool))
        pool.put(new, place)
        if full:
            assert torch.equal(place >= 0, old)
            shown_old, seen = shown_old + int(old.sum()), seen + 4
    assert shown_old / seen == pytest.approx(0.5, abs=0.05)
    assert pool.pictures.min() > 350


def test_a_picture_that_is_shown_gives_its_place_to_the_new_one():
    pool = Pool(1, (1,))
    pool.put(torch.tensor([[7.0]]), torch.tensor([0]))
    for _ in range(50):
        shown, place = pool.draw(torch.tensor([[8.0]]))
        if place[0] == 0:
            break
    assert shown.item() == 7.0
    pool.put(torch.tensor([[8.0]]), place)
    assert pool.pictures.item() == 8.0


def test_rows_of_a_pool_do_not_depend_on_how_a_batch_is_split():
    torch.manual_seed(1)
    pool = Pool(3, (2,))
    pool.put(torch.randn(2, 2), torch.tensor([0, 2]))
    x = torch.randn(8, 2)
    torch.manual_seed(4)
    whole = pool.draw(x)
    for start in (0, 4):
        torch.manual_seed(4)
        with rows(start, 8):
            part = pool.draw(x[start : start + 4])
        assert all(torch.equal(a, b[start : start + 4]) for a, b in zip(part, whole))


@pytest.mark.parametrize("n", [2, 4])
def test_micro_batches_leave_the_same_weights_and_the_same_pool(n):
    torch.manual_seed(0)
    whole = CycleGan(PICTURE, SOURCE, net=small, pool=3, augment="translation")
    split = copy.deepcopy(whole)
    data = [batch(8) for _ in range(4)]
    choices = TrainOptions(lr=1e-3, eps=1e-3, schedule="constant", warmup=0.0)
    for model, count in ((whole, 1), (split, n)):
        learner = Learner(model, choices, 4)
        for index, (x, cond) in enumerate(data):
            size = 8 // count
            cuts = [slice(k * size, (k + 1) * size) for k in range(count)]
            learner.step(
                index,
                [Micro(x[c], {"source": cond["source"][c]}, c.start, 8, range(8)) for c in cuts],
            )
    assert all(pool.filled.any() for pool in whole.pools.values())
    for (name, a), b in zip(whole.state_dict().items(), split.state_dict().values()):
        torch.testing.assert_close(a, b, atol=1e-5, rtol=0, msg=name)


def test_a_run_goes_on_bit_for_bit_with_its_pool():
    torch.manual_seed(0)
    model = CycleGan(PICTURE, SOURCE, net=small, pool=4)
    data = [batch() for _ in range(6)]
    learner, kept = Learner(model, TrainOptions(lr=1e-3), 6), None
    for index, (x, cond) in enumerate(data):
        if index == 4:
            kept = copy.deepcopy(learner.state())
        learner.step(index, [Micro(x, cond, 0, 4, range(4))])
    assert kept is not None and kept["weights"]["pools.target.filled"].any()
    other = Learner(CycleGan(PICTURE, SOURCE, net=small, pool=4), TrainOptions(lr=1e-3), 6)
    other.restore(kept)
    for index in (4, 5):
        x, cond = data[index]
        other.step(index, [Micro(x, cond, 0, 4, range(4))])
    for (name, a), b in zip(model.state_dict().items(), other.model.state_dict().values()):
        assert torch.equal(a, b), name


def test_samples_go_both_ways():
    model = CycleGan(PICTURE, SOURCE, net=toy(2.0, 0.5))
    _, cond = batch(2)
    torch.testing.assert_close(sample(model, 2, cond), 2 * cond["source"])
    back = sample(model, 2, cond, toward="source")
    torch.testing.assert_close(back, 0.5 * cond["source"])


def test_sides_of_other_channels_have_one_direction_and_no_identity():
    grey, colour = Real((1, 16, 16), levels=256), Real((3, 16, 16), levels=256)
    model = CycleGan(colour, {"source": grey}, net=small)
    x, cond = torch.rand(2, 3, 16, 16), {"source": torch.rand(2, 1, 16, 16)}
    played = {name: dict(terms) for name, terms in model.losses(x, cond, Step(0, 9))}
    assert played["generators"].keys() == {"generator", "cycle"}
    assert sample(model, 2, cond).shape == (2, 3, 16, 16)
    with pytest.raises(BadInput, match="different channels"):
        sample(model, 2, cond, toward="source")


def test_what_cannot_be_built_or_translated_is_refused():
    with pytest.raises(BadInput, match="Set data"):
        CycleGan(PICTURE, {})
    line = Real((1, 16))
    with pytest.raises(BadInput, match="Set 'none'"):
        CycleGan(line, {"source": line}, augment="translation")
    with pytest.raises(BadInput, match="nothing to translate"):
        sample(CycleGan(PICTURE, SOURCE, net=small), 1, {})


def test_it_finds_the_other_side_without_pairs():
    torch.manual_seed(0)
    model = CycleGan(PICTURE, SOURCE, net=partial(small, norm=False), cycle=1.0)
    learner = Learner(model, TrainOptions(**{**model.recommended, "lr": 3e-3}), 120)
    for index in range(120):
        x, cond = batch(8)
        learner.step(index, [Micro(x, cond, 0, 8, range(8))])
    x, cond = batch(16)
    averaged = learner.sampler()
    assert sample(averaged, 16, cond).mean() == pytest.approx(x.mean().item(), abs=0.2)
    back = sample(averaged, 16, {"source": x}, toward="source")
    assert back.mean() == pytest.approx(cond["source"].mean().item(), abs=0.2)
