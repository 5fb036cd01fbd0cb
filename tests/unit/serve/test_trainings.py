"""Runs of jobs: whose a name is, curves, alarms, the time that is left, and sheets of samples."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import pairwise

import pytest
from PIL import Image

from genloom.serve import trainings
from genloom.serve.store import Folders, Job, NotFound, Store

BODY = {"name": "mine"}
JOB = Job("j", "ann", "train", BODY, "running", 0, 1, False, "w", "l", 0, 0, None, None, None)


@pytest.fixture
def run(tmp_path):
    """The folder of ann's run."""
    folder = tmp_path / "runs" / "mine"
    (folder / "samples").mkdir(parents=True)
    return folder


@pytest.fixture
def folders(run, tmp_path):
    """With ann's run, which is about to begin."""
    with Store(tmp_path / "store.db") as store:
        found = Folders(store, None, tmp_path)
        assert trainings.reserve(found, "mine", "ann")
        yield found


def tell(run, **state):
    (run / "run.json").write_text(json.dumps(state))


def log(run, *lines, cut=""):
    text = "".join(json.dumps(line) + "\n" for line in lines)
    (run / "metrics.jsonl").write_text(text + cut)


def test_a_name_is_its_first_owners_and_free_for_him_until_it_is_used(run, folders):
    assert not trainings.reserve(folders, "mine", "bob")
    assert trainings.reserve(folders, "mine", "ann")
    folders.keep("runs/mine")  # of a training that failed before it began
    assert trainings.reserve(folders, "mine", "ann")
    tell(run, step=1)
    folders.keep("runs/mine")
    assert not trainings.reserve(folders, "mine", "ann")
    assert trainings.reserve(folders, "other", "bob")


def test_only_the_owners_training_leads_to_the_run(run, folders):
    assert trainings.run_of(folders, JOB) == run
    for other in (
        replace(JOB, owner="bob"),
        replace(JOB, kind="sample"),
        replace(JOB, body={}),
        replace(JOB, body={"name": "none"}),
    ):
        with pytest.raises(NotFound):
            trainings.run_of(folders, other)


def test_a_run_that_has_not_begun_has_empty_curves(run):
    assert trainings.curves(run, 300) == {
        "series": {},
        "alarms": [],
        "step": 0,
        "total": None,
        "seconds_left": None,
    }


def test_curves_hold_figures_and_neither_alarms_nor_a_line_in_writing(run):
    tell(run, status="training", step=2, total=8, seconds=6.0, forecast={"seconds": 99}, alarms=[])
    log(
        run,
        {"step": 1, "loss": 0.5, "seconds": 3.0},
        {"step": 1, "alarm": "plateau", "value": 7.0, "message": "flat"},
        {"step": 2, "loss": 0.25, "grad_norm": 2, "seconds": 6.0},
        {"step": 2, "valid/loss": 1.0},
        cut='{"step": 3, "lo',
    )
    found = trainings.curves(run, 300)
    assert found["series"] == {
        "loss": [(1, 0.5), (2, 0.25)],
        "grad_norm": [(2, 2)],
        "valid/loss": [(2, 1.0)],
    }
    assert (found["step"], found["total"], found["seconds_left"]) == (2, 8, 18.0)


def test_thinned_curves_keep_their_ends_and_are_even():
    assert trainings.thinned(range(3), 5) == [0, 1, 2]
    thin = trainings.thinned(range(1001), 11)
    assert thin == list(range(0, 1001, 100))
    thin = trainings.thinned(range(997), 300)
    steps = [b - a for a, b in pairwise(thin)]
    assert (len(thin), thin[0], thin[-1]) == (300, 0, 996) and set(steps) == {3, 4}


@pytest.mark.parametrize(
    ("state", "left"),
    [
        ({"status": "training", "step": 0, "total": 8, "seconds": 0.0}, 40.0),
        ({"status": "training", "step": 6, "total": 8, "seconds": 3.0}, 1.0),
        ({"status": "stopped", "step": 6, "total": 8, "seconds": 3.0}, None),
        ({"status": "rehearsing", "step": 0, "total": None, "seconds": 0.0}, None),
        ({"status": "done", "step": 8, "total": 8, "seconds": 3.0}, 0.0),
    ],
)
def test_the_time_that_is_left_follows_the_pace(run, state, left):
    tell(run, **state, forecast={"seconds": 40.0}, alarms=[])
    assert trainings.curves(run, 9)["seconds_left"] == left


def test_alarms_are_active_until_the_run_has_ended_and_says_which_still_rang(run):
    alarms = [
        {"step": 5, "alarm": "collapse", "value": 0.1, "message": "few kinds"},
        {"step": 6, "alarm": "plateau", "value": 3.0, "message": "flat"},
        {"step": 7, "alarm": "diverged", "at": 7, "message": "nan", "retry": 1},
    ]
    tell(run, status="training", alarms=alarms, active=[])
    found = trainings.curves(run, 9)["alarms"]
    assert [(one["name"], one["text"], one["step"]) for one in found] == [
        ("collapse", "few kinds", 5),
        ("plateau", "flat", 6),
        ("diverged", "nan", 7),
    ]
    assert [one["active"] for one in found] == [True, True, False]
    tell(run, status="done", alarms=alarms, active=["diversity"])
    assert [one["active"] for one in trainings.curves(run, 9)["alarms"]] == [True, False, False]


def test_sheets_are_found_by_step_once_they_are_whole(run):
    folder = run / "samples"
    Image.new("L", (4, 4)).save(folder / "step-00000020.png")
    whole = (folder / "step-00000020.png").read_bytes()
    (folder / "step-00000030.png").write_bytes(whole[:-1])
    (folder / "step-00000005.txt").write_text("abc")
    (folder / "step-00000006.exe").write_text("abc")
    text = "text/plain; charset=utf-8"
    assert trainings.samples(run) == [(5, text), (20, "image/png")]
    assert trainings.sheet(run, 20) == (whole, "image/png")
    assert trainings.sheet(run, 5) == (b"abc", text)
    for step in (30, 6, 7, -5, -1, 10**400):
        with pytest.raises(NotFound):
            trainings.sheet(run, step)
