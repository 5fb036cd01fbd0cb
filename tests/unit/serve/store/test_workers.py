"""Several processes work on one queue, and some are killed."""

from __future__ import annotations

import subprocess
import sys
import time
from itertools import chain
from pathlib import Path

from genloom.serve.store import Jobs, Store

ROOT = Path(__file__).parents[4]


def start(url: str, name: str, do: str) -> subprocess.Popen[str]:
    """A worker that is ready, and begins when `go` tells it to."""
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.unit.serve.store.worker", url, name, do],
        cwd=ROOT,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "ready\n"
    return process


def go(process: subprocess.Popen[str]) -> None:
    assert process.stdin is not None
    process.stdin.write("\n")
    process.stdin.flush()


def test_every_job_is_claimed_by_one_process(url):
    with Store(url) as store:
        jobs = Jobs(store)
        added = [jobs.add("ann", "generate", {"n": n}).id for n in range(120)]
        workers = [start(url, f"w{n}", "finish") for n in range(4)]
        for worker in workers:
            go(worker)
        claimed = [worker.communicate(timeout=60)[0].split() for worker in workers]
        assert [worker.returncode for worker in workers] == [0] * 4
        assert sorted(chain(*claimed)) == sorted(added)
        order = {job: n for n, job in enumerate(added)}
        for mine in claimed:
            assert [order[job] for job in mine] == sorted(order[job] for job in mine)
        assert jobs.counts()["succeeded"] == 120
        for name, mine in enumerate(claimed):
            assert all(jobs.get("ann", job).result == {"by": f"w{name}"} for job in mine)
        assert sum(bool(mine) for mine in claimed) > 1


def test_a_job_of_a_killed_process_is_done_by_another(url):
    with Store(url) as store:
        jobs = Jobs(store)
        added = [jobs.add("ann", "generate", {"n": n}).id for n in range(3)]
        dead = start(url, "dead", "hang")
        go(dead)
        assert dead.stdout is not None
        assert dead.stdout.readline().strip() == added[0]
        dead.kill()
        dead.communicate()
        assert jobs.get("ann", added[0]).state == "running"
        deadline = time.monotonic() + 10
        while not (back := jobs.expired()):
            assert time.monotonic() < deadline
            time.sleep(0.05)
        assert [job.id for job in back] == [added[0]]
        heir = start(url, "heir", "finish")
        go(heir)
        assert heir.communicate(timeout=60)[0].split() == added
        assert [jobs.get("ann", job).attempts for job in added] == [2, 1, 1]
        assert jobs.counts()["succeeded"] == 3
