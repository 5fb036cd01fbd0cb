"""Freed pages are used again within `kept_pages`, and given back after it."""

from __future__ import annotations

import subprocess
import sys

import pytest

from genloom import memory

PROGRAM = """
import resource, torch
from genloom.core import Real
from genloom.learner import Learner, Micro
from genloom.memory import kept_pages
from genloom.models.vae import Vae
from genloom.options import TrainOptions

torch.set_num_threads(1)
learner = Learner(Vae(Real((1, 28, 28), levels=256), {}), TrainOptions(steps=1))
x = torch.rand(64, 1, 28, 28)

def faults(steps=5):
    for i in range(2 * steps):
        if i == steps:
            before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
        learner.step(i, [Micro(x, {}, 0, len(x), range(len(x)))])
    return (resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before) / steps

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

usual = faults()
with kept_pages():
    with kept_pages():
        pass
    kept = faults()
    held = resident()
print(usual, kept, held - resident())
"""


@pytest.mark.skipif(memory._glibc() is None, reason="needs the GNU C library")
def test_pages_are_kept_within_and_given_back_after():
    done = subprocess.run([sys.executable, "-c", PROGRAM], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    usual, kept, given_back = map(float, done.stdout.split())
    assert usual > 500  # pages a step
    assert kept < usual / 10
    assert given_back > 5e6


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    with memory.kept_pages():
        assert memory._depth == 1
    assert memory._depth == 0
