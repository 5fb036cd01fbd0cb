"""A server in a process of its own, whoever wrote it: start it, end it, weigh it, ask it."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psutil

START_S = 180


def free_port() -> int:
    """One that nobody listens on now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@dataclass
class Server:
    """How it is started, and how it is asked for something small.

    Args:
        words: Of the command line, without the port.
        folder: For its log, and where it runs.
        threads: Of its numerical libraries.
        path: Of the route that makes something.
        probe: Body of a small request, which shows that it is ready.
    """

    words: Sequence[str]
    folder: Path
    threads: int
    path: str
    probe: dict[str, Any]
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    @property
    def url(self) -> str:
        """Where it listens."""
        return f"http://127.0.0.1:{self.port}"

    @property
    def log(self) -> Path:
        """What it prints."""
        return self.folder / f"{self.port}.log"

    def start(self) -> float:
        """Seconds from the start to the first answer to a request."""
        names = ("OMP_NUM_THREADS", "MKL_NUM_THREADS")
        more = dict.fromkeys(names, str(self.threads)) | {"HF_HUB_OFFLINE": "1"}
        start = time.perf_counter()
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                [*self.words, "--port", str(self.port)],
                stdout=log, stderr=log, env=os.environ | more,
            )  # fmt: skip
        while time.perf_counter() - start < START_S:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            if self._answers():
                return time.perf_counter() - start
            time.sleep(0.05)
        raise AssertionError(f"not ready in {START_S} s: {self.log.read_text()[-3000:]}")

    def end(self) -> None:
        """As an operator ends it; by force after half a minute."""
        if self.process is None or self.process.poll() is not None:
            return
        self.process.terminate()
        try:
            self.process.wait(30)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def cpu_s(self) -> float:
        """Processor time of it and its children until now."""
        return sum(sum(one.cpu_times()[:2]) for one in self._processes())

    def resident_mb(self) -> float:
        """Memory that it and its children hold."""
        return sum(one.memory_info().rss for one in self._processes()) / 2**20

    def _processes(self) -> list[psutil.Process]:
        assert self.process is not None
        own = psutil.Process(self.process.pid)
        return [own, *own.children(recursive=True)]

    def _answers(self) -> bool:
        sent = json.dumps(self.probe).encode()
        asked = urllib.request.Request(
            self.url + self.path, sent, {"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(asked, timeout=START_S):
                return True
        except urllib.error.HTTPError as error:  # 503: it listens, and is not ready
            assert error.code == 503, error.read()[:1000]
        except OSError:
            pass
        return False


class Clients:
    """The process of `benchmarks.peers.clients`."""

    def __init__(self) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.peers.clients"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip

    def __enter__(self) -> Clients:
        return self

    def __exit__(self, *_: object) -> None:
        self.process.communicate()

    def __call__(self, what: str, server: Server, **order: Any) -> dict[str, Any]:
        """Carry out an order and give its figures; see `Crowd`."""
        assert self.process.stdin is not None and self.process.stdout is not None
        told = {"what": what, "url": server.url, **order}
        self.process.stdin.write(json.dumps(told) + "\n")
        self.process.stdin.flush()
        line = self.process.stdout.readline()
        assert line, f"the clients gave up; their error stands above; {server.log}"
        return json.loads(line)
