"""Who holds a lease: a name that tells whoever runs on the same machine whether its owner lives.

A process number alone would not do: it is given again, and containers count for themselves. With
the boot, the space of numbers and the start time it names one process, once. Where the system
does not tell them, nobody is called dead, and leases run out by the clock.
"""

from __future__ import annotations

import os
from pathlib import Path

ENDED = ("Z", "X")  # states of a process that is dead and has not been buried


def holder(host: str, *, proc: Path = Path("/proc")) -> str:
    """This process's name for `Jobs.claim`: "HOST BOOT SPACE PID START", or HOST alone."""
    here, pid = _here(proc), os.getpid()
    found = _state(proc, pid)
    name = "-".join(host.split())[:60] or "host"
    return f"{name} {here} {pid} {found[1]}" if here and found else name


def gone(name: str, *, proc: Path = Path("/proc")) -> bool:
    """Whether a holder's process is known to be dead; False where it may live, or none can tell."""
    words = name.split()
    here = _here(proc)
    if len(words) != 5 or not here or " ".join(words[1:3]) != here or not words[3].isdecimal():
        return False  # another machine, another boot, or a name of another form
    try:
        os.kill(int(words[3]), 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False  # another user's, of which we may see nothing
    found = _state(proc, int(words[3]))
    return found is not None and (found[0] in ENDED or found[1] != words[4])


def _here(proc: Path) -> str:
    """The running kernel and the space of its process numbers; "" where it does not tell."""
    try:
        boot = (proc / "sys/kernel/random/boot_id").read_text().strip()
        return f"{boot} {(proc / 'self/ns/pid').readlink()}"
    except OSError:
        return ""


def _state(proc: Path, pid: int) -> tuple[str, str] | None:
    """(state, start in clock ticks since the boot) of a process."""
    try:
        text = (proc / str(pid) / "stat").read_text(errors="replace")
    except OSError:
        return None
    fields = text.rpartition(")")[2].split()  # its own name, before, may hold anything
    return fields[0], fields[19]
