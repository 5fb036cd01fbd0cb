"""A run, from rehearsal to artifact: it watches itself, saves itself, and goes on."""

from __future__ import annotations

import json
import math
import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path
from unittest.mock import Mock

import pytest
import torch

from genloom import artifact, checkpoint, runs, trainer
from genloom.cli import main
from genloom.errors import (
    BadInput,
    Collapsed,
    Diverged,
    GenloomError,
    Interrupted,
    Overfitted,
)
from genloom.progress import Journal
from genloom.recipe import dumps, resolve
from genloom.trainer import train

FLOW = {
    "data": {"source": "moons"},
    "model": {"use": "flow", "net": {"use": "mlp", "width": 16, "blocks": 1}},
    "train": {"steps": 40, "batch": 32, "save_every": 10, "preview_every": 20},
}


def changed(recipe: dict, **tables: dict) -> dict:
    return {k: recipe.get(k, {}) | tables.get(k, {}) for k in recipe.keys() | tables.keys()}


def weights(run: Path) -> str:
    return checkpoint.digest(run / "model" / "weights.safetensors")


@pytest.fixture(scope="module")
def finished(tmp_path_factory) -> Path:
    return train(resolve(FLOW), tmp_path_factory.mktemp("run") / "flow", quiet=True)


def test_a_run_leaves_what_it_promises(finished):
    record = json.loads((finished / "run.json").read_text())
    assert record["status"] == "done" and record["step"] == record["total"] == 40
    assert record["forecast"]["seconds"] > 0 and record["forecast"]["disk_bytes"] > 0
    assert sorted(p.name for p in (finished / "checkpoints").iterdir()) == [
        "step-00000030",
        "step-00000040",
    ]
    assert {p.name for p in (finished / "samples").iterdir()} >= {
        "step-00000020.png",
        "step-00000040.png",
    }
    lines = Journal.read(finished / "metrics.jsonl")
    assert lines[-1]["step"] == 40
    assert any("flow" in line for line in lines)
    assert any("valid/flow" in line for line in lines)
    assert all(math.isfinite(v) for line in lines for v in line.values() if isinstance(v, float))


def test_the_artifact_samples_what_the_run_learned(finished):
    items = artifact.load(finished).sample(5, seed=3, steps=4)
    assert items.shape == (5, 2) and items.isfinite().all()


def test_the_same_recipe_gives_the_same_bits(finished, tmp_path):
    assert weights(train(resolve(FLOW), tmp_path / "again", quiet=True)) == weights(finished)


def test_another_seed_gives_other_bits(finished, tmp_path):
    recipe = changed(FLOW, train={"seed": 1})
    assert weights(train(resolve(recipe), tmp_path / "other", quiet=True)) != weights(finished)


def test_a_finished_run_is_not_trained_again(finished):
    before = (finished / "run.json").stat().st_mtime_ns
    assert train(resolve(FLOW), finished, quiet=True) == finished
    assert (finished / "run.json").stat().st_mtime_ns == before


def test_another_recipe_in_the_same_folder_is_refused(finished):
    with pytest.raises(BadInput, match="holds a run of another recipe"):
        train(resolve(changed(FLOW, train={"steps": 41})), finished, quiet=True)
    with pytest.raises(BadInput, match="holds a run already"):
        train(resolve(FLOW), finished, resume="never", quiet=True)


def test_a_run_that_never_began_stands_in_nobodys_way(tmp_path, monkeypatch):
    with monkeypatch.context() as broken:
        broken.setattr(trainer, "rehearse", Mock(side_effect=BadInput("there is no room")))
        with pytest.raises(BadInput, match="no room"):
            train(resolve(FLOW), tmp_path / "run", quiet=True)
    told = json.loads((tmp_path / "run" / "run.json").read_text())
    assert (told["status"], told["error"]) == ("stopped", "BadInput: there is no room")
    other = changed(FLOW, train={"steps": 4, "seed": 1})
    train(resolve(other), tmp_path / "run", resume="never", quiet=True)
    assert weights(tmp_path / "run") == weights(train(resolve(other), tmp_path / "b", quiet=True))
    assert "seed = 1" in (tmp_path / "run" / "recipe.toml").read_text()


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"forecast": {}}', "\xe9"])
def test_a_damaged_record_is_one_line_and_stays(tmp_path, capsys, monkeypatch, text):
    monkeypatch.chdir(tmp_path)
    told = tmp_path / "runs" / "moons-flow" / "run.json"
    told.parent.mkdir(parents=True)
    told.write_text(text, "latin-1")
    told.with_name("recipe.toml").write_text(dumps(FLOW))
    with pytest.raises(BadInput, match=r"run\.json is damaged, .* choose another --out"):
        train(resolve(FLOW), told.parent, quiet=True)
    assert main(["train", "--resume", "moons-flow"]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert "is damaged" in line and told.read_text("latin-1") == text
    assert [run["status"] for run in runs.table()] == ["unreadable"]
    plan = resolve(changed(FLOW, train={"steps": 4}))
    assert runs._free(plan, "auto").name == "moons-flow-2"


def test_a_run_of_before_an_option_goes_on(tmp_path):
    out, recipe = tmp_path / "run", changed(FLOW, train={"steps": 4})
    train(resolve(recipe), out, quiet=True)
    told = json.loads((out / "run.json").read_text())
    for section, key in (("data", "valid"), ("train", "keep"), ("model", "drop")):
        del told["recipe"][section][key]
    (out / "run.json").write_text(json.dumps(told))
    assert train(resolve(recipe), out, quiet=True) == out
    with pytest.raises(BadInput, match=r"another recipe: data.valid \(None, now 0.2\)\. Choose"):
        train(resolve(changed(recipe, data={"valid": 0.2})), out, quiet=True)
    told["data"]["fingerprint"] = "other"
    (out / "run.json").write_text(json.dumps(told))
    with pytest.raises(BadInput, match="run of other data"):
        train(resolve(recipe), out, quiet=True)


def test_a_budget_for_a_few_steps_alone_is_said(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(trainer, "FEW", 10**6)  # so that these fast steps are few
    brief = {"train": {"minutes": 0.01, "batch": 32}}
    out = train(resolve({**FLOW, **brief}), tmp_path / "brief")
    steps = json.loads((out / "run.json").read_text())["total"]
    assert f"the time is enough for {steps} of these steps" in capsys.readouterr().err
    train(resolve(changed(FLOW, train={"steps": 2})), tmp_path / "asked")
    assert "enough for" not in capsys.readouterr().err


def test_all_data_may_be_trained_on_but_for_choosing_the_best(tmp_path):
    whole = changed(FLOW, data={"valid": 0, "test": 0}, train={"steps": 4})
    out = train(resolve(whole), tmp_path / "whole", quiet=True)
    assert json.loads((out / "run.json").read_text())["status"] == "done"
    with pytest.raises(BadInput, match="best = true needs a held-out loss, and moons has no"):
        train(resolve(changed(whole, train={"best": True})), tmp_path / "best", quiet=True)


def test_one_folder_has_one_trainer(tmp_path):
    import fcntl

    out = tmp_path / "busy"
    out.mkdir()
    with (out / ".lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        with pytest.raises(BadInput, match="is being trained in by another process"):
            train(resolve(FLOW), out, quiet=True)


class Stop(RuntimeError):
    """Pulls the plug in the middle of a step."""


def cut_off(recipe: dict, run: Path, at: int) -> None:
    """Train, and stop in the middle of step `at`, counted from 0."""
    plan, calls = resolve(recipe), 0
    batch = plan.dataset.train.batch

    def failing(position: int, size: int, seed: int):
        nonlocal calls
        calls += size == plan.options.batch and (run / "metrics.jsonl").exists()
        if calls > at:
            raise Stop
        return batch(position, size, seed)

    plan.dataset.train.batch = failing
    with pytest.raises(Stop):
        train(plan, run, quiet=True)
    assert json.loads((run / "run.json").read_text())["status"] == "stopped"


@pytest.mark.parametrize("at", [3, 17, 39])
def test_a_run_that_was_cut_off_ends_with_the_same_bits(finished, tmp_path, at):
    cut_off(FLOW, tmp_path / "cut", at)
    train(resolve(FLOW), tmp_path / "cut", quiet=True)
    assert weights(tmp_path / "cut") == weights(finished)
    steps = [line["step"] for line in Journal.read(tmp_path / "cut" / "metrics.jsonl")]
    assert steps == sorted(steps) and steps[-1] == 40


def overfitting(folder: Path) -> dict:
    """Sixty words of no law, and time enough to know them by heart."""
    draw = random.Random(0)
    words = {"".join(draw.choices("abcdefgh", k=6)) for _ in range(60)}
    (folder / "words.txt").write_text("\n".join(sorted(words)))
    net = {"use": "transformer", "width": 32, "layers": 1, "heads": 2}
    return {
        "data": {"source": str(folder / "words.txt"), "document": "line", "valid": 0.3},
        "model": {"use": "autoregressive", "net": net},
        "train": {"steps": 120, "batch": 4, "preview_every": 10, "save_every": 15, "best": True},
    }


def test_the_best_weights_are_kept_where_the_last_ones_know_the_data_by_heart(tmp_path):
    run = train(resolve(overfitting(tmp_path)), tmp_path / "run", quiet=True)
    lines = Journal.read(run / "metrics.jsonl")
    held_out = {int(line["step"]): line["valid/nats"] for line in lines if "valid/nats" in line}
    best = artifact.load(run).card["training"]["best"]
    assert best["step"] == min(held_out, key=held_out.__getitem__) < 120
    assert best["loss"] == held_out[best["step"]] < 0.9 * held_out[120]
    rung = [line for line in lines if line.get("alarm") == "overfits"]
    assert len(rung) == 1 and best["step"] < rung[0]["step"]

    last = overfitting(tmp_path)
    last["train"]["best"] = False
    assert weights(train(resolve(last), tmp_path / "last", quiet=True)) != weights(run)


def test_a_run_of_several_players_has_no_best_weights(tmp_path):
    recipe = {"data": {"source": "moons"}, "model": {"use": "gan"}, "train": {"steps": 5}}
    recipe["train"]["best"] = True
    with pytest.raises(BadInput, match="best = true needs one held-out loss, and gan has 2"):
        train(resolve(recipe), tmp_path / "run", quiet=True)
    assert not (tmp_path / "run" / "run.json").exists()


def test_a_run_that_was_stopped_for_overfitting_goes_on(tmp_path):
    recipe = overfitting(tmp_path)
    recipe["train"]["alarms"] = "stop"
    with pytest.raises(Overfitted, match="by heart"):
        train(resolve(recipe), tmp_path / "run", quiet=True)
    run = train(resolve(recipe), tmp_path / "run", quiet=True)
    record = json.loads((run / "run.json").read_text())
    assert record["status"] == "done" and len(record["alarms"]) == 1


def test_the_best_weights_outlive_a_kill(tmp_path):
    recipe = overfitting(tmp_path)
    whole = train(resolve(recipe), tmp_path / "whole", quiet=True)
    cut_off(recipe, tmp_path / "cut", 95)
    assert weights(train(resolve(recipe), tmp_path / "cut", quiet=True)) == weights(whole)


def test_a_termination_saves_and_says_how_to_go_on(finished, tmp_path):
    plan = resolve(FLOW)
    batch, out = plan.dataset.train.batch, tmp_path / "stopped"

    def asking(position: int, size: int, seed: int):
        if position == 13 and size == 32 and (out / "metrics.jsonl").exists():
            os.kill(os.getpid(), signal.SIGTERM)
        return batch(position, size, seed)

    plan.dataset.train.batch = asking
    with pytest.raises(Interrupted, match=r"stopped at step 14 of 40; it is saved. Go on with"):
        train(plan, out, quiet=True)
    assert checkpoint.newest(out / "checkpoints").name == "step-00000014"
    assert weights(train(resolve(FLOW), out, quiet=True)) == weights(finished)


def spoil(plan, step: int, value: float = math.nan, times: int = 1):
    """Write a bad value into a weight after a step of the run proper, as a flipped bit would."""
    inner, left = plan.model.loss, times

    def loss(x, cond):
        nonlocal left
        if plan.spoilt["on"] and plan.spoilt["step"] >= step and left:
            left -= 1
            next(plan.model.parameters()).data.view(-1)[0] = value
        plan.spoilt["step"] += 1
        return inner(x, cond)

    object.__setattr__(plan, "spoilt", {"on": False, "step": 0})
    plan.model.loss = loss
    prepare = plan.model.prepare
    plan.model.prepare = prepare
    return plan


def armed(out: Path, plan):
    """Arm the spoiler when the rehearsal is over."""
    original = plan.dataset.train.batch

    def batch(position: int, size: int, seed: int):
        if (out / "metrics.jsonl").exists():
            plan.spoilt["on"] = True
        return original(position, size, seed)

    plan.dataset.train.batch = batch
    return plan


def test_a_spoilt_weight_is_rolled_back_at_half_the_rate(tmp_path):
    out = tmp_path / "spoilt"
    train(armed(out, spoil(resolve(FLOW), 15)), out, quiet=True)
    record = json.loads((out / "run.json").read_text())
    assert record["status"] == "done"
    (alarm,) = record["alarms"]
    assert alarm["alarm"] == "diverged" and alarm["retry"] == 1
    assert "is not finite" in alarm["message"] or "is nan" in alarm["message"]
    (line,) = [x for x in Journal.read(out / "metrics.jsonl") if "alarm" in x]
    assert line["alarm"] == "diverged"
    for tensors in checkpoint.read(checkpoint.newest(out / "checkpoints"))[0].values():
        assert all(t.isfinite().all() for t in tensors.values())


def test_a_run_that_diverges_again_and_again_gives_up_with_its_own_exit_code(tmp_path):
    out = tmp_path / "hopeless"
    with pytest.raises(Diverged, match="3 retries at half the rate did not help") as caught:
        train(armed(out, spoil(resolve(FLOW), 15, times=99)), out, quiet=True)
    assert caught.value.exit_code == Diverged.exit_code == 10
    state = checkpoint.read(checkpoint.newest(out / "checkpoints"))[0]
    assert all(t.isfinite().all() for group in state.values() for t in group.values())


def test_bad_items_are_named_and_not_retried(tmp_path):
    plan, out = resolve(FLOW), tmp_path / "bad"
    batch = plan.dataset.train.batch

    def poisoned(position: int, size: int, seed: int):
        items, cond, ids = batch(position, size, seed)
        if position == 5 and (out / "metrics.jsonl").exists():
            items = items.clone()
            items[2] = math.nan
        return items, cond, ids

    plan.dataset.train.batch = poisoned
    bad = int(batch(5, 32, 0)[2][2])
    with pytest.raises(Diverged, match=rf"training items \[{bad}\] hold NaN"):
        train(plan, out, quiet=True)


def test_a_collapse_stops_the_run_where_the_recipe_says_so(tmp_path):
    recipe = changed(FLOW, train={"steps": 300, "alarms": "stop", "preview_every": 30})
    plan = resolve(recipe)
    steps = plan.model.sample_steps

    def collapsed(rng, cond, *, steps: int = 16):
        yield torch.zeros(len(rng), 2)

    assert steps is not None
    plan.model.sample_steps = collapsed
    object.__setattr__(plan.model, "__deepcopy__", None)
    with pytest.raises(Collapsed, match="% of the diversity of the data"):
        train(plan, tmp_path / "collapsed", quiet=True)


def test_the_budget_in_images_and_minutes_becomes_steps(tmp_path):
    images = changed(FLOW, train={"images": 640})
    images["train"].pop("steps")
    run = train(resolve(images), tmp_path / "images", quiet=True)
    assert json.loads((run / "run.json").read_text())["total"] == 20
    minutes = changed(FLOW, train={"minutes": 0.1})
    minutes["train"].pop("steps"), minutes["train"].pop("save_every")
    began = time.monotonic()
    run = train(resolve(minutes), tmp_path / "minutes", quiet=True)
    assert time.monotonic() - began < 30
    assert json.loads((run / "run.json").read_text())["total"] > 100


FAMILIES = {
    "gan": {"data": {"source": "digits"}, "model": {"use": "gan"}},
    "vae": {"data": {"source": "digits"}, "model": {"use": "vae"}},
    "flow": {"data": {"source": "digits", "flip": True, "shift": 1}, "model": {"use": "flow"}},
    "autoregressive": {"data": {"source": "digits"}, "model": {"use": "autoregressive"}},
    "cvae": {"data": {"source": "digits"}, "model": {"use": "cvae"}},
}

RUN = """
import json, sys
from pathlib import Path
from genloom.recipe import resolve
from genloom.trainer import train
train(resolve(json.loads(sys.argv[1])), Path(sys.argv[2]), quiet=True)
"""


def start(recipe: dict, out: Path) -> subprocess.Popen:
    environment = os.environ | {"OMP_NUM_THREADS": "1"}
    return subprocess.Popen(
        [sys.executable, "-c", RUN, json.dumps(recipe), str(out)], env=environment
    )


@pytest.mark.slow
@pytest.mark.parametrize("family", FAMILIES)
def test_killed_at_any_moment_a_run_ends_with_the_same_bits(tmp_path, family):
    train_table = {"steps": 30, "batch": 8, "save_every": 7, "preview_every": 15}
    recipe = FAMILIES[family] | {"train": train_table}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    assert start(recipe, whole).wait(300) == 0
    stream = torch.Generator().manual_seed(len(family))
    for _ in range(3):
        process = start(recipe, killed)
        begun = time.monotonic()
        while not (killed / "metrics.jsonl").exists() and time.monotonic() - begun < 120:
            time.sleep(0.05)
        time.sleep(float(torch.rand((), generator=stream)) * 3)
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert start(recipe, killed).wait(300) == 0
    assert weights(killed) == weights(whole)
    for name in ("weights", "average", "optimizer"):
        last = "checkpoints/step-00000030"
        assert checkpoint.digest(killed / last / f"{name}.safetensors") == checkpoint.digest(
            whole / last / f"{name}.safetensors"
        ), name


def test_every_failure_has_an_exit_code():
    assert issubclass(Diverged, GenloomError) and Collapsed.exit_code != Diverged.exit_code
