"""Checkpoints: nothing half-written counts, nothing good is lost."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch

from genloom import checkpoint
from genloom.errors import DiskFull
from genloom.learner import Learner
from genloom.options import TrainOptions
from tests.tiny import PLANE, TinyGan


def save(folder: Path, step: int, keep: int = 2, size: int = 10) -> Path:
    tensors = {"weights": {"w": torch.full((size,), float(step))}}
    return checkpoint.save(folder, tensors, {"step": step}, keep=keep)


def test_what_is_read_is_what_was_saved(tmp_path):
    path = save(tmp_path, 7)
    tensors, state = checkpoint.read(path)
    assert state["step"] == 7 and torch.equal(tensors["weights"]["w"], torch.full((10,), 7.0))
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000007"]


def test_only_the_newest_are_kept(tmp_path):
    for step in range(5):
        save(tmp_path, step, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000004"]


@pytest.mark.parametrize("damage", ["flip", "cut", "missing", "no state", "half a state"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, damage):
    good, bad = save(tmp_path, 1), save(tmp_path, 2)
    weights, state = bad / "weights.safetensors", bad / "state.json"
    if damage == "flip":
        content = bytearray(weights.read_bytes())
        content[-1] ^= 1
        weights.write_bytes(content)
    elif damage == "cut":
        weights.write_bytes(weights.read_bytes()[:-4])
    elif damage == "missing":
        weights.unlink()
    elif damage == "no state":
        state.unlink()
    else:
        state.write_text(state.read_text()[:20])
    assert checkpoint.newest(tmp_path) == good


def test_leftovers_of_a_killed_save_are_removed(tmp_path):
    good = save(tmp_path, 1)
    (tmp_path / ".step-00000002.4711").mkdir()
    assert checkpoint.newest(tmp_path) == good
    assert [p.name for p in tmp_path.iterdir()] == ["step-00000001"]


def test_saving_the_same_step_again_replaces_it(tmp_path):
    save(tmp_path, 3)
    path = checkpoint.save(tmp_path, {"weights": {"w": torch.ones(2)}}, {"step": 3}, keep=2)
    assert torch.equal(checkpoint.read(path)[0]["weights"]["w"], torch.ones(2))
    assert len(list(tmp_path.iterdir())) == 1


def test_optimizers_survive(tmp_path):
    model = TinyGan(PLANE)
    learner = Learner(model, TrainOptions(steps=3, optimizer="muon"), 3)
    for player in learner.players.values():
        for p in player.params:
            p.grad = torch.randn_like(p)
        player.update([p.grad for p in player.params], 0.0, None, 1.0)
    path = checkpoint.save(tmp_path, learner.state(), {"step": 3}, keep=1)
    other = Learner(TinyGan(PLANE), TrainOptions(steps=3, optimizer="muon"), 3)
    other.restore(checkpoint.read(path)[0])
    before, after = learner.state()["optimizer"], other.state()["optimizer"]
    assert before.keys() == after.keys() and len(before) > 6
    assert all(torch.equal(before[key], after[key]) for key in before)


def test_every_stateful_part_of_a_run_is_in_the_checkpoint():
    """What changes in a step is what a checkpoint holds: weights, average, optimizers."""
    learner = Learner(TinyGan(PLANE), TrainOptions(steps=3), 3)
    held = {
        tensor.data_ptr()
        for group in (learner.state()["weights"], learner.state()["average"])
        for tensor in group.values()
    }
    for part in (learner.model, learner.average):
        for name, tensor in [*part.named_parameters(), *part.named_buffers()]:
            assert tensor.data_ptr() in held, name


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root to mount a tmpfs")
def test_a_full_disk_is_one_line_and_the_last_checkpoint_stays(tmp_path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=4m", "tmpfs", str(disk)], capture_output=True
    )
    if mounted.returncode:
        pytest.skip("this machine allows no tmpfs")
    try:
        good = save(disk / "checkpoints", 1)
        with pytest.raises(DiskFull, match=r"is full. What was saved before is intact"):
            save(disk / "checkpoints", 2, size=2_000_000)
        assert checkpoint.newest(disk / "checkpoints") == good
        with pytest.raises(DiskFull):
            checkpoint.write_text(disk / "run.json", "x" * 8_000_000)
        assert [p.name for p in (disk / "checkpoints").iterdir()] == ["step-00000001"]
    finally:
        subprocess.run(["umount", str(disk)], check=True)


SAVER = """
import sys, torch
from pathlib import Path
from genloom import checkpoint
step = int(sys.argv[2])
print("ready", flush=True)
while True:
    step += 1
    tensors = {"weights": {"w": torch.full((200_000,), float(step))}}
    checkpoint.save(Path(sys.argv[1]), tensors, {"step": step}, keep=2)
"""


@pytest.mark.slow
def test_a_kill_at_any_moment_of_a_save_leaves_a_checkpoint(tmp_path):
    pauses = torch.rand(12, generator=torch.Generator().manual_seed(0)) * 0.05
    last = 0
    for pause in pauses.tolist():
        command = [sys.executable, "-c", SAVER, str(tmp_path), str(last)]
        with subprocess.Popen(command, stdout=subprocess.PIPE) as process:
            process.stdout.readline()
            time.sleep(0.05 + pause)
            process.send_signal(signal.SIGKILL)
        path = checkpoint.newest(tmp_path)
        assert path is not None
        tensors, state = checkpoint.read(path)
        assert (tensors["weights"]["w"] == state["step"]).all()
        assert state["step"] >= last
        last = state["step"]
    assert last > 12
    assert len(list(tmp_path.iterdir())) <= 3
    assert json.loads((path / "state.json").read_text())["format"] == checkpoint.FORMAT
