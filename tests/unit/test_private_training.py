"""A private run: what is refused, what it sees before it pays, and that no step is lost."""

from __future__ import annotations

import json
import math
import shutil
from dataclasses import replace

import pytest
import torch

from genloom import artifact, card, checkpoint, private
from genloom.core import Caption, Items
from genloom.data.dataset import Dataset, Split
from genloom.data.pairs import Pairs
from genloom.errors import BadInput, Diverged
from genloom.lexicon import Letters
from genloom.options import TrainOptions
from genloom.private import Mechanism, check_run, clipped, composed, mechanism, stand_ins
from genloom.progress import Journal
from genloom.recipe import merged, recorded, resolve
from genloom.trainer import train
from tests.tiny import PLANE, Line, TinyFlow, points

STEPS, BATCH = 12, 8
RUN = {
    "data": {"source": "moons"},
    "model": {"use": "flow", "net": {"use": "mlp", "width": 8, "blocks": 1}},
    "train": {"steps": STEPS, "batch": BATCH, "save_every": 4, "preview_every": 12},
}


def private_run(**options) -> dict:
    options = {"dp_epsilon": 3.0} | options
    return RUN | {"train": RUN["train"] | options}


def record(run) -> dict:
    return json.loads((run / "run.json").read_text())


def counting(plan, out, stop_at: float = math.inf, count=lambda x: 1) -> list:
    """Note what each encoding of the run proper counts; pull the plug at one."""
    seen = []
    encode = plan.codec.encode

    def spied(items):
        told = record(out)["private"]
        if told is not None and told["steps"] > len(seen):
            seen.append(count(items))
            if len(seen) >= stop_at:
                raise KeyboardInterrupt
        return encode(items)

    plan.codec.encode = spied
    return seen


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    return train(resolve(private_run()), tmp_path_factory.mktemp("dp") / "run", quiet=True)


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"dp_epsilon": 8.0, "dp_noise": 1.0}, "dp_epsilon and dp_noise are both set"),
        ({"dp_clip": 1.0}, "dp_clip = 1.0 alone makes no training private"),
        ({"dp_delta": 1e-6}, "dp_delta = 1e-06 alone makes no training private"),
        ({"dp_noise": 1.0, "accumulate": 2}, "accumulate = 2 saves nothing"),
        ({"dp_noise": 1.0, "alarms": "stop"}, "lets rows decide when a private run ends"),
    ],
)
def test_options_that_do_not_go_together_are_refused(options, says):
    with pytest.raises(BadInput, match=says):
        TrainOptions(**options)


def test_a_recipe_speaks_of_privacy_only_where_a_run_is_private():
    assert not [name for name in recorded(merged({}, {})) if name.startswith("dp_")]
    told = recorded(merged({}, {"dp_epsilon": 8}))
    assert told["dp_epsilon"] == 8.0 and told["dp_clip"] == 1.0 and "dp_noise" not in told
    assert merged({}, told).private and not merged({}, {}).private


def test_the_steps_are_planned_where_time_is_not_the_budget():
    assert TrainOptions(steps=7).planned == 7 and TrainOptions(minutes=1.0).planned is None
    assert TrainOptions(images=640, batch=64).planned == 10 and TrainOptions().planned is None


def test_the_mechanism_keeps_the_epsilon_and_delta_protects_single_rows():
    found = mechanism(TrainOptions(dp_epsilon=2.0, batch=50), 5000, 300)
    assert found == replace(found, rows=5000, batch=50, clip=1.0, delta=1e-5, target=2.0)
    assert 1.9 < found.epsilon(300) <= 2.0 < found.epsilon(310)
    assert found.epsilon(300) == private.epsilon(found.noise, 0.01, 300, 1e-5)
    many = mechanism(TrainOptions(dp_noise=1.5, batch=50), 10**6, 300)
    assert many.delta == 1e-7 and many.noise == 1.5 and many.target is None
    given = mechanism(TrainOptions(dp_noise=1.5, dp_clip=4.0, dp_delta=1e-6, batch=50), 5000, 1)
    assert given.delta == 1e-6 and given.clip == 4.0
    assert Mechanism.of(json.loads(json.dumps(found.told(7)))) == found


@pytest.mark.parametrize(
    ("options", "rows", "says"),
    [
        ({"dp_noise": 1.0, "batch": 64}, 63, "batch = 64 of 63 training rows"),
        ({"dp_noise": 1.0, "dp_delta": 0.01}, 100, "dp_delta = 0.01 with 100 training rows"),
        ({"dp_epsilon": 0.001, "batch": 64, "steps": 10**9}, 64, "epsilon = 0.001 cannot be kept"),
    ],
)
def test_a_guarantee_that_cannot_be_is_refused(options, rows, says):
    with pytest.raises(BadInput, match=says):
        mechanism(TrainOptions(**options), rows, options.get("steps", 10))


def test_what_was_spent_is_what_the_steps_cost_and_what_is_not_covered_is_said():
    options = TrainOptions(dp_noise=1.1, dp_delta=1e-5, batch=256)
    found = mechanism(options, 60_000, 1)
    told = found.told(14_062)
    assert told["epsilon"] == pytest.approx(2.5969811785953, rel=1e-9)  # Opacus, see test_private
    assert told["steps"] == 14_062 and told["rate"] == 256 / 60_000 and told["noise"] == 1.1
    assert told["unit"] == "one training row, added or removed"
    text = " ".join(told["uncovered"])
    assert "validation" in text and "choice among several trainings" in text
    assert "epsilon 2.597 at delta" in found.words(14_062)


def test_trainings_together_spend_the_sum_and_one_that_is_not_private_leaves_none():
    parts = [{"epsilon": 2.0, "delta": 1e-5}, {"epsilon": 0.5, "delta": 3e-5}]
    told = composed(parts)
    assert told["epsilon"] == 2.5 and told["delta"] == pytest.approx(4e-5)
    assert told["trainings"] == 2 and "Theorem 3.16" in told["accountant"]
    assert told["uncovered"] and told["unit"] == "one training row, added or removed"
    assert composed([*parts, None]) is None and composed([]) is None and composed([None]) is None


def table(n: int, items: Items, **parts) -> Dataset:
    part = Split(torch.zeros(n, *items.shape, dtype=torch.uint8), {}, "", **parts)
    return Dataset(items, "made", "", part, part)


def test_runs_that_cannot_be_private_are_refused_before_they_begin(tmp_path):
    options = TrainOptions(dp_noise=1.0, batch=4)
    picture = Items("image", (1, 8, 8), given="unpaired")
    model = TinyFlow(PLANE)
    pairs = Pairs(torch.zeros(2, 1, 8, 8, dtype=torch.uint8), torch.tensor([0, 1, -1, -1, 0]))
    with pytest.raises(BadInput, match="2 training rows have no source picture of their own"):
        check_run(model, table(5, picture, pairs=pairs), options, 1)
    with pytest.raises(BadInput, match="2 processes: private training counts"):
        check_run(model, table(5, picture), options, 2)
    with pytest.raises(BadInput, match="a text is one row"):
        check_run(model, table(5, Items("text", (4,), lexicon=Letters("ab"))), options, 1)
    with pytest.raises(BadInput, match="batch = 4 of 3 training rows"):
        check_run(model, table(3, picture), options, 1)
    check_run(model, table(5, picture), options, 1)
    gan = {"data": RUN["data"], "model": {"use": "gan"}, "train": {"steps": 2, "dp_noise": 1.0}}
    with pytest.raises(BadInput, match="Gan has 2 players"):
        train(resolve(gan), tmp_path / "gan", quiet=True)
    assert not (tmp_path / "gan" / "run.json").exists()


def test_stand_ins_have_the_form_of_the_rows_and_come_from_no_data():
    about = Items("image", (3, 8, 8), ("a", "b"), caption=Caption("xyz", 5), given="paired")
    x, cond = stand_ins(about, 600)
    assert x.shape == (600, 3, 8, 8) and x.dtype == torch.uint8 and x.min() == 0 and x.max() == 255
    assert set(cond) == set(about.conditions) and cond["label"].unique().tolist() == [0, 1]
    assert cond["caption"].shape == (600, 5) and cond["caption"].max() == 3
    assert cond["source"].shape == (600, 3, 8, 8) and torch.equal(stand_ins(about, 600)[0], x)
    x, cond = stand_ins(Items("points", (2,)), 2000)
    assert x.shape == (2000, 2) and abs(x.std() - 1) < 0.05 and not cond


def test_a_row_whose_gradient_is_no_number_counts_as_zero():
    model, x = Line(), points(3)
    good, norms = clipped(model, x, {}, clip=0.5)
    spoilt = torch.cat([x, torch.tensor([[math.nan, 0.0], [math.inf, 0.0]])])
    both, bad = clipped(model, spoilt, {}, clip=0.5)
    assert norms.isfinite().all() and not bad[3:].isfinite().any()
    assert all(torch.equal(both[name], good[name]) for name in good)


def test_a_run_tells_what_it_spent_and_no_loss_of_a_row(finished):
    told = record(finished)["private"]
    assert told["steps"] == STEPS == record(finished)["step"] and 2 < told["epsilon"] <= 3.0
    assert told == Mechanism.of(told).told(STEPS)
    for line in Journal.read(finished / "metrics.jsonl"):
        names = {name for name in line if not name.startswith("valid/")}
        assert names <= {"step", "grad_norm", "seconds", "items_per_s"}, line
    made = artifact.load(finished)
    assert made.card["training"]["private"] == told and "fingerprint" not in made.card["data"]
    page = (made.path / "README.md").read_text()
    assert "## Privacy" in page and f"| epsilon | {told['epsilon']:.4g} |" in page
    assert all(line in page for line in (f"| delta | {told['delta']:.4g} |", "Not covered:"))
    assert "## Privacy" not in card.render({"training": {"steps": 3}}, {})


def test_nothing_of_the_data_is_in_the_first_checkpoint(tmp_path):
    runs = [tmp_path / seed for seed in ("0", "1")]
    for out in runs:
        recipe = private_run(keep=9) | {"data": {"source": "moons", "seed": int(out.name)}}
        train(resolve(recipe), out, quiet=True)
    assert len({record(run)["data"]["fingerprint"] for run in runs}) == 2
    first, last = "step-00000000", f"step-{STEPS:08d}"
    digests = [
        [checkpoint.digest(run / "checkpoints" / step / "weights.safetensors") for run in runs]
        for step in (first, last)
    ]
    assert digests[0][0] == digests[0][1] and digests[1][0] != digests[1][1]


def test_a_private_run_cannot_be_made_again(finished, tmp_path):
    other = train(resolve(private_run()), tmp_path / "other", quiet=True)
    one, two = (checkpoint.digest(r / "model" / "weights.safetensors") for r in (finished, other))
    assert one != two


def test_batches_are_coins_and_each_step_is_on_disk_before_its_rows_are_seen(tmp_path):
    steps, out = 40, tmp_path / "run"
    plan = resolve(private_run(steps=steps, preview_every=steps, save_every=steps))
    seen = counting(plan, out, count=lambda x: (record(out)["private"]["steps"], len(x)))
    train(plan, out, quiet=True)
    paid, sizes = zip(*seen)
    assert paid == tuple(range(1, steps + 1)) and len(set(sizes)) > 4
    assert abs(sum(sizes) / steps - BATCH) < 5 * math.sqrt(BATCH / steps)


def test_a_step_without_rows_is_noise_and_counts(tmp_path):
    steps, out = 40, tmp_path / "run"
    plan = resolve(private_run(batch=1, steps=steps, preview_every=steps, save_every=steps))
    sizes = counting(plan, out, count=len)
    train(plan, out, quiet=True)
    assert 0 in sizes and record(out)["private"]["steps"] == record(out)["step"] == steps


def test_a_run_json_that_is_older_than_the_weights_does_not_lengthen_the_run(tmp_path):
    plan, out = resolve(private_run()), tmp_path / "cut"
    counting(plan, out, stop_at=6)
    with pytest.raises(KeyboardInterrupt):
        train(plan, out, quiet=True)
    old = record(out)
    old["private"]["steps"] = 1
    (out / "run.json").write_text(json.dumps(old))
    train(resolve(private_run()), out, quiet=True)
    assert record(out)["private"]["steps"] == record(out)["step"] == STEPS


@pytest.mark.parametrize(("at", "saved"), [(3, 0), (STEPS, 8)])
def test_steps_that_a_kill_undid_are_counted_and_not_taken_again(tmp_path, at, saved):
    plan, out = resolve(private_run()), tmp_path / "cut"
    counting(plan, out, stop_at=at)
    with pytest.raises(KeyboardInterrupt):
        train(plan, out, quiet=True)
    assert record(out)["private"]["steps"] == at
    train(resolve(private_run()), out, quiet=True)
    told = record(out)
    assert told["status"] == "done" and told["private"]["steps"] == STEPS
    assert told["step"] == told["total"] == STEPS - (at - saved)
    assert told["private"]["epsilon"] <= 3.0
    assert artifact.load(out).card["training"]["private"] == told["private"]


def test_a_second_kill_is_counted_too(tmp_path):
    out = tmp_path / "cut"
    for at in (2, 3):
        plan = resolve(private_run())
        counting(plan, out, stop_at=at)
        with pytest.raises(KeyboardInterrupt):
            train(plan, out, quiet=True)
    before = record(out)["private"]["steps"]
    assert before >= 5
    train(resolve(private_run()), out, quiet=True)
    assert record(out)["private"]["steps"] == STEPS and record(out)["step"] < STEPS


def test_a_paid_run_without_checkpoints_does_not_begin_again(tmp_path):
    plan, out = resolve(private_run()), tmp_path / "cut"
    counting(plan, out, stop_at=2)
    with pytest.raises(KeyboardInterrupt):
        train(plan, out, quiet=True)
    shutil.rmtree(out / "checkpoints")
    with pytest.raises(BadInput, match="2 private steps were taken in it"):
        train(resolve(private_run()), out, quiet=True)
    assert record(out)["private"]["steps"] == 2


def test_a_private_run_does_not_go_back(tmp_path):
    plan, out = resolve(private_run()), tmp_path / "diverging"

    def spoil(items):
        if record(out)["private"]["steps"] == 2:
            next(plan.model.parameters()).data.view(-1)[0] = math.nan
        return 0

    counting(plan, out, count=spoil)
    with pytest.raises(Diverged, match="A private run does not go back, for every step counts"):
        train(plan, out, quiet=True)
    assert record(out)["private"]["steps"] == 4  # where it would have been saved


def test_where_time_is_the_budget_the_noise_follows_from_the_rehearsal(tmp_path):
    recipe = private_run(minutes=0.05)
    recipe["train"] = {k: v for k, v in recipe["train"].items() if k not in ("steps", "save_every")}
    out = train(resolve(recipe), tmp_path / "timed", quiet=True)
    told = record(out)
    assert told["private"]["steps"] == told["total"] == told["forecast"]["steps"]
    assert 2.9 < told["private"]["epsilon"] <= 3.0
