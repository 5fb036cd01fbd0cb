"""A worker process of the queue's tests: `python -m tests.unit.serve.store.worker URL NAME DO`.

It prints a line per job that it claims. DO is "finish" (all, until none waits) or "hang".
"""

from __future__ import annotations

import sys
import time

from genloom.serve.store import Jobs, Store


def main(url: str, name: str, do: str) -> None:
    with Store(url) as store:
        jobs = Jobs(store)
        print("ready", flush=True)
        sys.stdin.readline()
        while job := jobs.claim(name, lease_s=0.5 if do == "hang" else 60):
            print(job.id, flush=True)
            if do == "hang":
                time.sleep(600)
            time.sleep(0.005)  # the work, in which others have their turn
            jobs.finish(job, result={"by": name})


if __name__ == "__main__":
    main(*sys.argv[1:])
