"""Freed pages stay within `kept_pages`, and go at once where `free_at_once` was said."""

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


THREADS = """
import sys
from threading import Barrier, Thread
from genloom.memory import free_at_once

if sys.argv[1] == "sparing":
    free_at_once()
together = Barrier(5)

def reader():
    together.wait()  # each has a heap of its own
    for size in (24, 16, 3):  # MiB: the library learns from the first one, and keeps the others
        block = bytearray(b"x") * (size << 20)
        together.wait()
        del block
    together.wait()
    together.wait()  # a thread that ends would leave its heap to another

def resident():
    return int(open("/proc/self/statm").read().split()[1]) * 4096

before = resident()
for _ in range(4):
    Thread(target=reader).start()
for _ in range(5):
    together.wait()
print(resident() - before)
together.wait()
"""


@pytest.mark.skipif(memory._glibc() is None, reason="needs the GNU C library")
def test_threads_that_are_sparing_keep_little_of_what_they_freed():
    held = []
    for how in ("usual", "sparing"):
        done = subprocess.run([sys.executable, "-c", THREADS, how], capture_output=True, text=True)
        assert done.returncode == 0, done.stderr
        held.append(int(done.stdout))
    assert held[0] > 4 * 12e6
    assert held[1] < 4 * 1e6


def test_another_c_library_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_glibc", lambda: None)
    memory.free_at_once()
    with memory.kept_pages():
        assert memory._depth == 1
    assert memory._depth == 0
