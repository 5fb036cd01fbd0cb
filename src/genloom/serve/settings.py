"""What a server may be told, checked before it starts."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import final

from genloom.errors import BadInput
from genloom.safety.marks.apply import Marks

LOOPBACK = ("127.0.0.1", "localhost", "::1", "[::1]")


@dataclass(frozen=True)
class Limits:
    """The most that one request may ask for.

    Args:
        samples: Items of a request that waits for its answer.
        job_samples: Items of a job.
        steps: Of a sampler.
        side: Pixels of a picture's side.
        body: Bytes of a request.
        file: Bytes of a file that is uploaded to be kept.
        prompt: Characters of a prompt.
        waiting: Requests that wait for a worker; one more is answered with 429.
    """

    samples: int = 64
    job_samples: int = 100_000
    steps: int = 1000
    side: int = 2048
    body: int = 16 * 2**20
    file: int = 256 * 2**20
    prompt: int = 100_000
    waiting: int = 256


@final
@dataclass(frozen=True)
class Settings:
    """One server.

    Args:
        models: Name -> folder of the artifact.
        folder: Where the server keeps what it remembers; made if it is not there.
        host: Address to listen on.
        port: And its port.
        database: URL; None is a SQLite file in `folder`.
        blobs: fsspec URL; None is a folder in `folder`.
        workers: Processes that sample.
        threads: Of each worker; None for torch's choice.
        memory: Bytes of weights that a worker holds at most; None for no bound.
        idle_s: After which a worker puts a model away that nobody asks for.
        int8: Whether models that can be packed are, see `int8.pack`.
        hosts: More host names that the server answers to.
        policy: File of filters; None for none.
        gate: File of bounds that a model's verdict must keep; None for none.
        ungated: Models that the operator serves whatever the gate says.
        marks: What is put on every picture that leaves.
        producer: Who makes them, as a code for their labels.
        limits: Of a request.
    """

    models: Mapping[str, Path]
    folder: Path
    host: str = "127.0.0.1"
    port: int = 8000
    database: str | None = None
    blobs: str | None = None
    workers: int = 1
    threads: int | None = None
    memory: int | None = None
    idle_s: float = 600.0
    int8: bool = False
    hosts: tuple[str, ...] = ()
    policy: Path | None = None
    gate: Path | None = None
    ungated: frozenset[str] = frozenset()
    marks: Marks = field(default_factory=Marks)
    producer: str = "genloom"
    limits: Limits = field(default_factory=Limits)

    @property
    def local(self) -> bool:
        """Whether only this machine can reach it."""
        if self.host == "localhost":
            return True
        try:
            return ipaddress.ip_address(self.host.strip("[]")).is_loopback
        except ValueError:
            return False

    def names(self) -> frozenset[str]:
        """Host names, lower case, that requests may be addressed to."""
        own = {self.host, f"[{self.host}]"} if self.host not in ("0.0.0.0", "::") else set()
        return frozenset(name.lower() for name in {*LOOPBACK, *own, *self.hosts})

    def check(self, *, keyed: bool) -> None:
        """Refuse to be open to everybody.

        Raises:
            BadInput: Others can reach the server, and it has no key.
        """
        if not self.models:
            raise BadInput("no model is named. Name runs or artifacts: genloom serve runs/NAME")
        if not self.local and not keyed:
            raise BadInput(
                f"--host {self.host} can be reached from other machines, and there is no key. "
                "Make one: genloom keys add NAME"
            )
