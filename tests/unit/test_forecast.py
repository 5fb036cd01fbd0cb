"""A forecast is a rehearsal that leaves nothing: no file, no run, no signal handler."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time

import pytest

from genloom.cli import main
from genloom.errors import BadInput
from genloom.rehearsal import forecast

RECIPE = {"data": {"source": "moons"}, "model": {"use": "vae"}, "train": {"steps": 40}}


def test_it_is_of_the_run_that_was_asked_for_and_leaves_nothing(tmp_path):
    before = signal.getsignal(signal.SIGTERM)
    out = tmp_path / "not" / "there" / "yet"
    found = forecast(RECIPE, out=out)
    assert found.steps == 40 and 0 < found.seconds < 60 and found.disk_bytes > 1e4
    assert list(tmp_path.iterdir()) == [] and signal.getsignal(signal.SIGTERM) is before
    larger = RECIPE | {"model": {"use": "vae", "net": {"use": "mlp_coder", "width": 1024}}}
    assert forecast(larger, out=out).disk_bytes > 1.5 * found.disk_bytes


def test_the_command_prints_it_and_does_not_touch_a_run(tmp_path, capsys):
    run = tmp_path / "run"
    run.mkdir()
    (run / "run.json").write_text("mine")
    words = ["train", "--data", "moons", "--model", "vae", "--steps", "40", "--forecast"]
    assert main([*words, "--out", str(run), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["steps"] == 40
    assert [path.name for path in tmp_path.rglob("*")] == ["run", "run.json"]
    assert main([*words, "--out", str(run)]) == 0
    assert capsys.readouterr().out.startswith("40 steps, about ")


def test_what_cannot_be_trained_has_no_forecast(tmp_path, capsys, monkeypatch):
    assert main(["train", "--resume", "x", "--forecast"]) == 2
    assert "--forecast is for a run that has not begun" in capsys.readouterr().err
    with pytest.raises(BadInput):
        forecast(RECIPE | {"model": {"use": "vea"}}, out=tmp_path / "run")
    monkeypatch.setenv("WORLD_SIZE", "2")
    with pytest.raises(BadInput, match="one process"):
        forecast(RECIPE, out=tmp_path / "run")
    assert list(tmp_path.iterdir()) == []


def test_one_that_is_stopped_leaves_nothing_either(tmp_path):
    words = ["train", "--data", "moons", "--model", "vae", "--minutes", "60", "--forecast"]
    command = [sys.executable, "-m", "genloom", *words, "--out", str(tmp_path / "run")]
    process = subprocess.Popen(command, env=os.environ | {"OMP_NUM_THREADS": "1"})
    until = time.monotonic() + 60
    while not list(tmp_path.glob(".forecast-*/checkpoints/step-*")):
        assert process.poll() is None and time.monotonic() < until
        time.sleep(0.01)
    process.send_signal(signal.SIGTERM)
    assert process.wait(30) == 128 + signal.SIGTERM
    assert list(tmp_path.iterdir()) == []
