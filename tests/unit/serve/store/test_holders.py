"""A holder of leases is called dead only where that is certain."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from genloom.serve.store import Jobs
from genloom.serve.store.holders import gone, holder

pytestmark = pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="needs Linux's /proc")
CODE = (
    "from genloom.serve.store.holders import holder; print(holder('a host'), flush=True); input()"
)


@pytest.fixture
def other():
    """(process, its name) of another holder."""
    pipe = subprocess.PIPE
    process = subprocess.Popen([sys.executable, "-c", CODE], stdin=pipe, stdout=pipe, text=True)
    assert process.stdout is not None
    yield process, process.stdout.readline().strip()
    process.kill()
    process.communicate()


def test_a_process_is_alive_until_it_is_killed(other):
    process, name = other
    assert name.startswith("a-host ") and name.split()[3] == str(process.pid)
    assert not gone(name) and not gone(holder("a host"))
    os.kill(process.pid, signal.SIGSTOP)
    assert not gone(name)  # it sleeps, and may wake up
    os.kill(process.pid, signal.SIGKILL)
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    assert gone(name)  # dead, though nobody has asked for its exit code yet
    process.wait()
    assert gone(name)


def test_a_number_that_was_given_again_is_another_process():
    *words, start = holder("here").split()
    assert gone(" ".join([*words, str(int(start) - 1)]))


@pytest.mark.parametrize("place", [1, 2])
def test_another_boot_or_container_is_left_to_the_clock(other, place):
    process, name = other
    process.kill()
    process.wait()
    words = name.split()
    words[place] = words[place].replace("4", "5") + "0"
    assert not gone(" ".join(words))


@pytest.mark.parametrize("name", ["", "w1", "a b c d e", "h 1 2 3", "h 1 2 -1 5", "\0 \0 \0 \0 \0"])
def test_names_of_another_form_are_left_to_the_clock(name):
    assert not gone(name)
    words = holder("h").split()
    assert not gone(f"{words[0]} {words[1]} {words[2]} {'9' * 40} 1")


def test_where_the_system_does_not_tell_nobody_is_dead(tmp_path, other):
    assert holder("a host", proc=tmp_path) == "a-host"
    process, name = other
    process.kill()
    process.wait()
    assert not gone(name, proc=tmp_path)


def test_a_dead_holders_job_is_taken_at_once_and_a_living_ones_is_not(store, other):
    jobs, (process, name) = Jobs(store), other
    for owner in (name, holder("me")):
        jobs.add("ann", "train", {})
        jobs.claim(owner, 30)
    assert jobs.expired(gone) == []
    process.kill()
    process.wait()
    [back] = jobs.expired(gone)
    assert (back.state, back.worker, back.attempts) == ("queued", name, 1)
    assert jobs.expired(gone) == [] and jobs.counts()["running"] == 1
