"""Distillation: the target leads where the teacher goes; only training needs a teacher."""

import copy
import math
from functools import partial

import pytest
import torch

from genloom import artifact, runs
from genloom.core import Real, Rng, Tokens
from genloom.errors import BadInput
from genloom.models.diffusion import Diffusion
from genloom.models.distilled import Distilled, between, few
from genloom.nets.mlp import Mlp
from genloom.sampling import sample

SMALL = partial(Mlp, width=48, blocks=2)
STD = 0.5


def gaussian(student):
    """A teacher whose denoiser is that of N(1, STD^2), exact."""
    teacher = copy.deepcopy(student)

    def guided(cond, weight, low, high):
        return lambda x, sigma: 1 + (x - 1) * STD**2 / (sigma[:, None] ** 2 + STD**2)

    teacher.guided = guided
    return teacher


def taught(**options):
    model = Distilled(Real((2,)), {}, net=SMALL, **options)
    model.prepare(1 + STD * torch.randn(4096, 2), {})
    model.source = "given"
    model._held = [gaussian(model.student)]
    return model


@pytest.mark.parametrize("steps", [1, 4])
def test_one_step_from_what_is_taught_arrives_where_the_exact_path_does(steps):
    model = taught(steps=steps, pace=256)
    sigmas = model._sigmas
    for i in range(steps):
        s, t = sigmas[i].item(), sigmas[i + 1].item()
        noisy = 1 + math.hypot(s, STD) * torch.randn(64, 2)
        guess = model._taught(noisy, torch.full((64,), i), {})
        exact = 1 + (noisy - 1) * math.hypot(t, STD) / math.hypot(s, STD)
        assert torch.allclose(torch.lerp(guess, noisy, t / s), exact, atol=2e-2), i


def test_every_row_is_taught_at_its_own_level():
    model = taught(steps=3, pace=8)
    noisy, place = torch.randn(9, 2), torch.arange(9) % 3
    whole = model._taught(noisy, place, {})
    for i in range(9):
        alone = model._taught(noisy[i : i + 1], place[i : i + 1], {})
        assert torch.allclose(whole[i : i + 1], alone, atol=1e-5)
    assert not torch.allclose(whole, model._taught(noisy, place.flip(0), {}), atol=1e-2)


def test_the_error_is_zero_at_the_prediction_that_gives_the_wanted_datum():
    for target in ("flow", "eps", "x0", "v", "edm"):
        model = Diffusion(Real((2,)), {}, net=SMALL, target=target)
        model.prepare(2 + 3 * torch.randn(500, 2), {})
        torch.nn.init.normal_(model.net.last.weight)
        x, sigma = torch.randn(8, 2), torch.full((8,), 0.8)
        with torch.no_grad():
            d = model.denoise(x, sigma, {})
            assert model.error(x, sigma, d, {}).max() < 1e-8
            assert model.error(x, sigma, d + 1, {}).min() > 1e-3


def test_levels_are_even_in_time_and_paths_join_them():
    found = few(4, 160.0)
    assert found[-1] == 0 and found[0].item() == pytest.approx(160.0)
    t = found / (1 + found)
    assert torch.allclose(t[:-1] - t[1:], t[:1] / 4)
    bent = few(4, 160.0, 1.5)
    gone = 1 - (bent / (1 + bent)) / t[0]
    assert torch.allclose(gone ** (2 / 3), torch.arange(5, dtype=t.dtype) / 4)
    path = between(3.0, 1.0, 5)  # ln 3 at 5 steps each, even in t as well
    assert len(path) == 6 and path[[0, -1]].tolist() == pytest.approx([3.0, 1.0])
    assert torch.allclose((path / (1 + path)).diff(), torch.tensor(-0.05, dtype=path.dtype))
    assert between(1.0, 0.0, 1)[[0, -2, -1]].tolist() == pytest.approx([1.0, 0.02, 0.0])
    assert len(between(160.0, 3.0, 2)) == 9 and len(between(1.0, 0.9, 1)) == 2
    assert bool((between(0.016, 0.0, 2).diff() < 0).all())


def test_it_learns_to_take_the_teachers_steps():
    """From a start that knows nothing to the spread of the exact teacher, in four evaluations."""
    torch.manual_seed(0)
    model = taught(steps=4, pace=4)
    optimizer = torch.optim.AdamW(model.parameters(), lr=3e-3)
    losses = []
    for i in range(400):
        optimizer.param_groups[0]["lr"] = 3e-3 * min(1.0, 2 * (1 - i / 400))
        loss = model.loss(1 + STD * torch.randn(128, 2), {})["distilled"]
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
        losses.append(loss.item())
    assert sum(losses[-20:]) < 0.2 * sum(losses[:5]) * 4
    calls = []
    net = model.student.net.forward
    model.student.net.forward = lambda *given: (calls.append(1), net(*given))[1]
    x = sample(model, 2000, batch=2000)
    assert len(calls) == 4
    assert x.mean().item() == pytest.approx(1.0, abs=0.08)
    assert x.std().item() == pytest.approx(STD, rel=0.12)


@pytest.fixture(scope="module")
def teacher(tmp_path_factory):
    """A flow on the points of two moons, barely trained, as a run."""
    folder = tmp_path_factory.mktemp("teacher") / "run"
    settings = ["model.net.use=mlp", "model.net.width=16", "model.net.blocks=1"]
    runs.train(None, data="moons", model="flow", out=folder, settings=settings, steps=6, quiet=True)
    return folder


def recipe(teacher, **model):
    net = {"use": "mlp", "width": 16, "blocks": 1}
    return {
        "data": {"source": "moons"},
        "model": {"use": "distilled", "teacher": str(teacher), "net": net, **model},
        "train": {"steps": 4, "save_every": 2},
    }


def test_a_student_is_trained_by_the_same_verb_and_outlives_its_teacher(teacher, tmp_path):
    copied = tmp_path / "teacher"
    copied.mkdir()
    for file in (teacher / "model").iterdir():
        (copied / file.name).write_bytes(file.read_bytes())
    made = runs.train(recipe(copied), out=tmp_path / "student", quiet=True)
    own = set(artifact.load(teacher).model.state_dict())
    assert set(made.model.state_dict()) == {f"student.{name}" for name in own}
    for file in copied.iterdir():
        file.unlink()
    again = artifact.load(tmp_path / "student")
    assert torch.equal(again.sample(3, seed=1), made.sample(3, seed=1))


def test_the_artifact_names_its_teacher_and_no_path_of_the_trainer(teacher, tmp_path):
    made = runs.train(recipe(teacher), out=tmp_path / "student", quiet=True)
    assert made.recipe["model"]["teacher"] == teacher.name
    for file in (made.path / "recipe.toml", made.path / "card.json", made.path / "README.md"):
        assert str(teacher.parent) not in file.read_text("utf-8"), file


def test_weights_start_as_the_teachers_and_a_run_that_goes_on_asks_for_it_anew(teacher):
    x = torch.randn(8, 2)
    label = {"label": torch.arange(8) % 2}
    loaded = artifact.load(teacher).model
    build = partial(
        Distilled, loaded.space, loaded.conditions, net=partial(Mlp, width=16, blocks=1)
    )
    first, resumed = build(teacher=str(teacher)), build(teacher=str(teacher))
    first.prepare(x, label)
    for name, value in loaded.state_dict().items():
        assert torch.equal(first.student.state_dict()[name], value)
    resumed.load_state_dict(first.state_dict())
    torch.manual_seed(1)
    a = first.loss(x, label)["distilled"]
    torch.manual_seed(1)
    assert torch.equal(resumed.loss(x, label)["distilled"], a)
    assert a > 0


@pytest.mark.parametrize(
    ("model", "message"),
    [
        ({"net": {"use": "mlp", "width": 24}}, "another net"),
        ({"target": "eps"}, 'model.target = "flow"'),
    ],
)
def test_a_teacher_of_another_build_is_refused(teacher, tmp_path, model, message):
    with pytest.raises(BadInput, match=message):
        runs.train(recipe(teacher, **model), out=tmp_path / "student", quiet=True)


def test_a_teacher_of_other_data_or_another_family_is_refused(teacher, tmp_path):
    stranger = Distilled(Real((3,)), {}, net=SMALL, teacher=str(teacher))
    with pytest.raises(BadInput, match="Train on the teacher's data"):
        stranger.prepare(torch.randn(8, 3), {})
    runs.train(recipe(teacher), out=tmp_path / "student", quiet=True)
    second = Distilled(Real((2,)), {}, net=SMALL, teacher=str(tmp_path / "student"))
    with pytest.raises(BadInput, match="is a Distilled"):
        second.prepare(torch.randn(8, 2), {})


def test_without_a_teacher_the_datum_itself_is_learnt():
    model = Distilled(Real((2,)), {"label": Tokens((), 2)}, net=SMALL, steps=2)
    x, label = 3 + torch.randn(4000, 2), torch.arange(4000) % 2
    model.prepare(x, {"label": label})
    assert model.student.mean.mean().item() == pytest.approx(3.0, abs=0.1)
    found = model.loss(x, {"label": label})["distilled"].item()
    # the flow target n - y of unit data at every level, where the net still says nothing
    assert found == pytest.approx(2.0, rel=0.1)
    (*_, last) = model.sample_steps(Rng([0, 1]), {})
    assert last.shape == (2, 2)
