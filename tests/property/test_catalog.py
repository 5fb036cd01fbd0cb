"""Laws that hold for every model of the catalog: a new model is tested by being in it."""

from __future__ import annotations

import copy

import pytest
import torch

from genloom import artifact, catalog
from genloom.core import Generative, Likelihood, Rng, Step, check_options, options
from genloom.given import encoded
from genloom.learner import Learner, Micro
from genloom.options import TrainOptions
from genloom.recipe import family, resolve
from genloom.sampling import sample, stream

MODELS = catalog.names("model")


@pytest.fixture(scope="module", params=MODELS)
def plan(request):
    """A model on 8x8 digits with labels, its weights moved off their start by two steps."""
    made = resolve({"data": data_for(request.param), "model": {"use": request.param}})
    made.model.prepare(*batch(made, 64))
    learner = Learner(made.model, TrainOptions(lr=1e-3, schedule="constant", warmup=0.0), 2)
    for index in range(2):
        learner.step(index, parts(*batch(made, 8, index), 1))
    return made


def data_for(name: str) -> dict:
    """Digits, with the source that a family may need."""
    needs = family(catalog.find(name)).needs
    return {"source": "digits", **({"given": "small2"} if "source" in needs else {})}


def batch(plan, n: int, position: int = 0):
    items, cond, _ = plan.dataset.train.batch(position, n, 0)
    return encoded(plan.codec, items, cond)


def parts(x, cond, n: int):
    size = len(x) // n
    return [
        Micro(
            x[k * size : (k + 1) * size],
            {name: v[k * size : (k + 1) * size] for name, v in cond.items()},
            k * size,
            len(x),
            range(size),
        )
        for k in range(n)
    ]


def quick(model: Generative) -> dict:
    """As few steps as the family takes."""
    return {"steps": 3} if "steps" in options(model.sample_steps) else {}


def has_batch_norm(model: Generative) -> bool:
    return any(isinstance(m, torch.nn.modules.batchnorm._BatchNorm) for m in model.modules())


def needed(plan, n: int) -> dict:
    """The conditions that a family cannot do without, of the first items."""
    return {name: v for name, v in batch(plan, n)[1].items() if name in plan.model.needs}


def asked(plan, n: int) -> dict:
    """All conditions: those, and labels."""
    return {"label": torch.arange(n) % 10, **needed(plan, n)}


def test_a_sample_is_of_the_space_and_decodes_to_an_item(plan):
    x = sample(plan.model, 3, asked(plan, 3), **quick(plan.model))
    assert x.shape == (3, *plan.codec.space.shape)
    items = plan.codec.decode(x)
    assert items.shape == (3, *plan.dataset.items.shape) and items.dtype == torch.uint8


def test_a_sample_depends_on_its_seed_and_label_alone(plan):
    together = sample(plan.model, 5, asked(plan, 5), seed=10, **quick(plan.model))
    third = {name: v[3:4] for name, v in asked(plan, 5).items()}
    alone = sample(plan.model, 1, third, seed=13, **quick(plan.model))
    decode = plan.codec.decode
    assert torch.equal(decode(together[3:4]), decode(alone))
    split = sample(plan.model, 5, asked(plan, 5), seed=10, batch=2, **quick(plan.model))
    assert torch.equal(decode(split), decode(together))


def test_other_seeds_give_other_samples(plan):
    if plan.recipe["model"]["use"] == "cyclegan":
        pytest.skip("a function of its source")
    a, b = (sample(plan.model, 2, asked(plan, 2), seed=s, **quick(plan.model)) for s in (0, 100))
    assert not torch.equal(a, b)


def test_sampling_leaves_no_trace(plan):
    before = copy.deepcopy(plan.model.state_dict())
    modes = [m.training for m in plan.model.modules()]
    torch.manual_seed(3)
    state = torch.get_rng_state()
    sample(plan.model, 2, asked(plan, 2), **quick(plan.model))
    assert torch.equal(state, torch.get_rng_state())
    assert modes == [m.training for m in plan.model.modules()]
    assert all(torch.equal(v, before[k]) for k, v in plan.model.state_dict().items())


def test_every_guess_has_the_shape_of_a_sample(plan):
    guesses = list(stream(plan.model, [1, 2], asked(plan, 2), **quick(plan.model)))
    assert len(guesses) >= 1
    assert all(g.shape == (2, *plan.codec.space.shape) for g in guesses)


def test_hidden_conditions_can_be_sampled(plan):
    least = needed(plan, 2)
    x = sample(plan.model, 2, least, **quick(plan.model))
    labels = {"label": torch.tensor([-1, -1])}
    hidden = sample(plan.model, 2, {**labels, **least}, **quick(plan.model))
    assert torch.isfinite(x.float()).all()
    assert torch.equal(plan.codec.decode(x), plan.codec.decode(hidden))


def test_a_turn_moves_only_its_player(plan):
    model = copy.deepcopy(plan.model)
    learner = Learner(model, TrainOptions(lr=1e-2), 9)
    model.train()
    for name, terms in model.losses(*batch(plan, 8), Step(4, 9)):
        before = {k: v.detach().clone() for k, v in model.named_parameters()}
        player = learner.players[name]
        torch.stack(list(terms.values())).sum().backward(inputs=player.params)
        grads = [p.grad for p in player.params if p.grad is not None]
        assert grads, f"nothing of {name!r} has a gradient"
        player.update(grads, 0.0, None, 1.0)
        own = {id(p) for p in player.params}
        for key, value in model.named_parameters():
            if id(value) not in own:
                assert torch.equal(value, before[key]), f"{name} moved {key}"


@pytest.mark.parametrize("n", [2, 4])
def test_accumulation_equals_the_full_batch(plan, n):
    if has_batch_norm(plan.model):
        pytest.skip("batch normalization looks at the whole batch by definition")
    whole, split = copy.deepcopy(plan.model), copy.deepcopy(plan.model)
    choices = TrainOptions(lr=1e-3, eps=1e-3, schedule="constant", warmup=0.0)
    for model, count in ((whole, 1), (split, n)):
        learner = Learner(model, choices, 3)
        for index in range(3):
            learner.step(index, parts(*batch(plan, 8, index), count))
    for (name, a), b in zip(whole.named_parameters(), split.parameters(), strict=True):
        assert torch.allclose(a, b, atol=1e-6), (name, float((a - b).abs().max()))


def test_save_load_sample_is_bit_identical(plan, tmp_path):
    artifact.save(
        tmp_path / "model",
        model=plan.model,
        recipe=plan.recipe,
        items=plan.dataset.items,
        card={},
    )
    loaded = artifact.load(tmp_path / "model").model
    for model in (plan.model, loaded):
        model.eval()
    a, b = (sample(m, 2, asked(plan, 2), seed=5, **quick(m)) for m in (plan.model, loaded))
    assert torch.equal(a, b)


def test_a_likelihood_is_finite_and_one_number_a_datum(plan):
    if not isinstance(plan.model, Likelihood):
        pytest.skip("no likelihood")
    x, cond = batch(plan, 4)
    with torch.no_grad():
        value = plan.model.eval().log_prob(x, cond)
    assert value.shape == (4,) and value.isfinite().all() and (value < 0).all()
    assert plan.model.likelihood in ("exact", "bound", "estimate")


def test_options_have_defaults_that_pass_their_own_check(plan):
    known = options(plan.model.sample_steps)
    defaults = {name: option.default for name, option in known.items()}
    assert check_options(plan.model.sample_steps, defaults) == defaults


def test_the_recommended_options_are_train_options(plan):
    TrainOptions(**plan.model.recommended)
    assert set(plan.model.recommended) <= set(options(TrainOptions))


def test_conditions_change_the_sample(plan):
    zeros, ones = (
        sample(
            plan.model,
            4,
            {"label": torch.full((4,), k), **needed(plan, 4)},
            **quick(plan.model),
        )
        for k in (0, 1)
    )
    if plan.recipe["model"]["use"] in ("autoencoder", "kl_autoencoder", "cyclegan"):
        pytest.skip("has no condition of this kind")
    assert not torch.equal(zeros, ones)
    assert len(Rng([0])) == 1
