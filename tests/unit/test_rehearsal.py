"""The rehearsal: what fits into a budget, how often to save and to show, what does not pay."""

from __future__ import annotations

import time

import pytest
import torch

from genloom import rehearsal, speed
from genloom.errors import BadInput, DiskFull
from genloom.learner import Learner, Micro
from genloom.options import TrainOptions
from genloom.preview import GRID
from genloom.rehearsal import Forecast, rehearse
from tests.tiny import PLANE, TinyFlow, points


@pytest.fixture
def play(tmp_path):
    """Rehearse work whose parts take known times."""
    (tmp_path / "state.json").write_bytes(b"x" * 1000)

    def run(step_s=0.002, preview_s=0.01, save_s=0.005, **budget):
        return rehearse(
            TrainOptions(**budget),
            lambda index: time.sleep(step_s),
            lambda enough_s: time.sleep(preview_s) or (64, preview_s),
            lambda: time.sleep(save_s) or tmp_path,
            began=time.monotonic(),
        )

    return run


def test_steps_are_as_asked(play):
    assert play(steps=77).steps == 77
    assert play(images=6400, batch=64).steps == 100


def test_minutes_become_steps_and_the_forecast_is_the_budget(play):
    forecast = play(minutes=0.1)
    assert abs(forecast.seconds - 6) < 1.5
    assert 6 / 0.002 * 0.4 < forecast.steps < 6 / 0.002


def test_more_steps_are_timed_where_time_is_the_budget(tmp_path):
    def timed(**budget):
        steps = []
        rehearse(
            TrainOptions(**budget),
            steps.append,
            lambda enough_s: (64, 0.0),
            lambda: tmp_path,
            began=time.monotonic(),
        )
        return len(steps) - 1  # the first one warms up

    assert timed(minutes=5.0) == 100 and timed(steps=9) == timed(images=640) == 10


def test_the_first_process_says_when_the_trial_ends(tmp_path, monkeypatch):
    told = iter([0.5, 1.0, 2.5])  # its clock; the one here has hardly moved
    monkeypatch.setattr(rehearsal.ranks, "share", lambda seconds: next(told))
    steps = []
    rehearse(
        TrainOptions(minutes=5.0),
        steps.append,
        lambda enough_s: (64, 0.0),
        lambda: tmp_path,
        began=time.monotonic(),
    )
    assert steps == [0, 1, 2, 3, 4, 5]


def test_dear_previews_are_few(play):
    cheap, dear = play(minutes=0.05), play(minutes=0.05, preview_s=0.3)
    assert cheap.steps // cheap.preview_every > dear.steps // dear.preview_every >= 2


def test_a_forecast_of_before_previewed_a_whole_grid(play):
    told = play(steps=3).as_dict()
    del told["previewed"]
    assert Forecast(**told).previewed == GRID


def test_a_preview_may_take_a_share_of_the_budget(tmp_path):
    def asked(**budget):
        given = []
        found = rehearse(
            TrainOptions(**budget),
            lambda index: time.sleep(0.01),
            lambda enough_s: given.append(enough_s) or (12, 0.0),
            lambda: tmp_path,
            began=time.monotonic(),
        )
        assert found.previewed == 12
        return given[0]

    assert asked(minutes=2.0) == 3.0
    assert 1000 * 0.01 / 40 < asked(steps=1000) < 1000 * 0.02 / 40


def test_cadence_is_as_asked(play):
    forecast = play(steps=100, save_every=7, preview_every=9)
    assert (forecast.save_every, forecast.preview_every) == (7, 9)


def test_memory_and_disk_are_told(play):
    forecast = play(steps=10, keep=3)
    assert forecast.disk_bytes == 4 * 1000
    assert forecast.memory_bytes > 50e6
    assert "10 steps" in str(forecast) and "MB on disk" in str(forecast)


def test_a_run_that_does_not_fit_on_the_disk_does_not_begin(play, monkeypatch):
    usage = type("Usage", (), {"free": 500})
    monkeypatch.setattr(rehearsal.shutil, "disk_usage", lambda path: usage)
    with pytest.raises(DiskFull, match="Make room"):
        play(steps=10)


def test_two_budgets_are_one_too_many():
    with pytest.raises(BadInput, match="steps and minutes are both set"):
        TrainOptions(steps=3, minutes=1.0)
    with pytest.raises(BadInput, match="does not split"):
        TrainOptions(batch=10, accumulate=3)


def test_a_cpu_stays_at_float32():
    learner = Learner(TinyFlow(PLANE), TrainOptions(), 1)

    def never(index: int) -> None:
        raise AssertionError("no race is run on a CPU")

    assert speed.choose_precision(learner, "auto", never) == torch.float32
    assert speed.choose_precision(learner, "bfloat16", never) == torch.bfloat16
    learner.step(0, [Micro(points(4), {}, 0, 4, range(4))])
    assert all(p.dtype == torch.float32 for p in learner.model.parameters())


def test_a_compilation_that_does_not_pay_is_undone(monkeypatch):
    monkeypatch.setattr(torch.nn.Module, "compile", lambda self, **_: vars(self).update(hit=True))
    learner = Learner(TinyFlow(PLANE), TrainOptions(), 1)
    slow = iter([0.2] + [0.001] * 9)
    kept, line = speed.try_compile(learner, 10, 0.001, lambda i: time.sleep(next(slow)))
    assert not kept and "refused" in line and vars(learner.model.net)["hit"]
    slow = iter([0.05] + [0.001] * 9)
    kept, line = speed.try_compile(learner, 1000, 0.01, lambda i: time.sleep(next(slow)))
    assert kept and "saves" in line


def test_a_rehearsal_stays_at_the_start_of_the_schedule():
    learner = Learner(TinyFlow(PLANE), TrainOptions(lr=1e-3))
    for index in range(12):
        learner.step(index, [Micro(points(4, index), {}, 0, 4, range(4))])
        rates = [
            g["lr"] for p in learner.players.values() for o in p.optimizers for g in o.param_groups
        ]
        assert all(0 < r <= 1e-5 for r in rates)
