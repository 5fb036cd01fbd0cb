"""What a server may open, and what it did open: read from the lines of `audited/sitecustomize`."""

from __future__ import annotations

import json
import os
import re
import socket
import sys
import sysconfig
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import final

import pytest

import genloom
from tests.e2e.server import Server, serving

HOOK = Path(__file__).parent / "audited"
SYSTEM = re.compile(  # figures of the machine and of processes, which say nothing of a user
    r"/dev/(urandom|null)|/proc/(self|\d+)/(stat|statm|maps|status|limits|fd)|/proc/(stat|cpuinfo|meminfo)"
    r"|/proc/sys/kernel/random/boot_id|/sys/devices/system/cpu/.*|/sys/fs/cgroup/.*"
    r"|/etc/mime\.types|/etc/localtime"
)
ADDRESSES = ("127.0.0.1", "::1")  # of the server's own socket
FILES = ("open", "sqlite3.", "tempfile.", "shutil.", "glob.", "pathlib.", "os.", "ctypes.")


@dataclass(frozen=True)
class Event:
    """One line: who did what to what."""

    pid: int
    name: str
    told: tuple[str, ...]


@final
class Audit:
    """The events of one server and of the processes that it started.

    Args:
        log: Where they are written.
        folders: Where files may be opened besides the interpreter's and the package's own.
    """

    def __init__(self, log: Path, folders: Sequence[Path]):
        self.log = log
        installed = [sysconfig.get_path(name) for name in ("stdlib", "platstdlib", "purelib")]
        own = [sys.prefix, sys.base_prefix + "/lib", HOOK, Path(genloom.__file__).parent, *folders]
        self.imports = {os.getcwd(), *sys.path}  # an import lists the folders that it looks in
        places = {str(place) for place in (*installed, *own)}
        self.places = tuple(f"{place}/" for place in places | set(map(os.path.realpath, places)))

    def events(self) -> list[Event]:
        """All so far."""
        rows = map(json.loads, self.log.read_text("ascii").splitlines())
        return [Event(pid, name, tuple(told)) for pid, name, *told in rows]

    def foreign(self, events: Sequence[Event]) -> list[Event]:
        """Those that no server has a reason for."""
        return [event for event in events if not self._fine(event)]

    def _fine(self, event: Event) -> bool:
        if event.name == "subprocess.Popen":
            return event.told[0].startswith(repr([sys.executable, "-P", "-m"])[:-1])
        if event.name == "os.listdir" and event.told[0] in self.imports:
            return True
        if event.name.startswith(FILES) and event.name not in ("os.posix_spawn", "os.system"):
            return all(self._inside(path) for path in event.told)
        if event.name == "socket.bind":
            return event.told[0].startswith(repr(ADDRESSES[:1])[:-2])
        return event.name == "socket.getaddrinfo" and event.told[0] == repr(ADDRESSES[0])

    def _inside(self, path: str) -> bool:
        if SYSTEM.fullmatch(path):
            return True
        own = f"{path}/".startswith(self.places)  # the folder itself, and what lies in it
        return own and (not os.path.islink(path) or self._inside(os.path.realpath(path)))


@contextmanager
def audited(folder: Path, models: dict[str, Path]) -> Iterator[tuple[Server, Audit]]:
    """A server of which it is written down what it opens; `folder` will hold its state."""
    own, cache = folder.parent / "tmp", Path(os.environ["GENLOOM_CACHE"])
    own.mkdir()
    log = folder.parent / "audit.jsonl"
    with pytest.MonkeyPatch.context() as patch:
        before = os.environ.get("PYTHONPATH")
        patch.setenv("PYTHONPATH", f"{HOOK}{os.pathsep}{before}" if before else str(HOOK))
        patch.setenv("GENLOOM_AUDIT", str(log))
        patch.setenv("TMPDIR", str(own))
        with serving(folder, models) as server:
            yield server, Audit(log, [folder, own, cache, *models.values()])


@contextmanager
def listening() -> Iterator[socket.socket]:
    """A local port to which nobody should connect."""
    with socket.socket() as sock:
        sock.bind(("127.0.0.1", 0))
        sock.listen()
        sock.setblocking(False)
        yield sock


def caller(sock: socket.socket) -> object:
    """Who has connected, or None."""
    with suppress(BlockingIOError):
        found, who = sock.accept()
        found.close()
        return who
    return None
