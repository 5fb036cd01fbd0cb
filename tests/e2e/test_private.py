"""A private training through the command line, killed in the middle: every step counts."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from genloom import artifact

WORDS = ["train", "--data", "glyphs", "--model", "vae", "--quiet"]
SET = {
    "data.size": 8,
    "model.net": '{ use = "conv_coder", width = 8, hidden = 32 }',
    "train.steps": 60,
    "train.batch": 16,
    "train.save_every": 25,
    "train.preview_every": 60,
    "train.threads": 1,
    "train.dp_epsilon": 8,
}


def genloom(*words: str) -> subprocess.Popen:
    return subprocess.Popen(
        [sys.executable, "-m", "genloom", *words],
        env=os.environ | {"OMP_NUM_THREADS": "1"},
        stdout=subprocess.DEVNULL,
    )


def record(run: Path) -> dict:
    return json.loads((run / "run.json").read_text())


def paid(run: Path) -> int:
    try:
        return (record(run)["private"] or {"steps": 0})["steps"]
    except FileNotFoundError:
        return 0


@pytest.mark.slow
def test_a_vae_of_letters_is_trained_privately_and_a_kill_loses_no_step(tmp_path):
    run = tmp_path / "run"
    settings = [word for key, value in SET.items() for word in ("--set", f"{key}={value}")]
    process = genloom(*WORDS, "--out", str(run), *settings)
    begun = time.monotonic()
    while paid(run) < 30 and process.poll() is None and time.monotonic() - begun < 300:
        time.sleep(0.002)
    process.send_signal(signal.SIGKILL)
    process.wait()
    before = paid(run)
    assert 30 <= before < 60, "killed too late"
    again = genloom("train", "--resume", str(run), "--quiet")
    assert again.wait(300) == 0
    told = record(run)
    assert told["status"] == "done" and told["private"]["steps"] == 60
    saved = 25 * (before // 25)
    assert told["step"] in (60 - (before - saved), 60 - (before - saved) - 25)  # while it saved
    assert 7 < told["private"]["epsilon"] <= 8.0 and told["private"]["target"] == 8.0
    made = artifact.load(run)
    assert made.card["training"]["private"] == told["private"]
    assert made.sample(2).shape == (2, 1, 8, 8)
    shown = subprocess.run(
        [sys.executable, "-m", "genloom", "card", str(run)], capture_output=True, text=True
    )
    assert (
        shown.returncode == 0 and f"| epsilon | {told['private']['epsilon']:.4g} |" in shown.stdout
    )
