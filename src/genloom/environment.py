"""What a run stands on: versions, processor, threads, devices; no host name, user or path."""

from __future__ import annotations

import os
import platform
import time
from importlib import metadata
from pathlib import Path
from typing import Any

import torch

from genloom import __version__

PACKAGES = ("torch", "numpy", "safetensors", "pillow")
EXTRAS = ("scikit-learn", "matplotlib", "tensorboard", "datasets", "pyarrow", "shtab")


def describe() -> dict[str, Any]:
    """Facts that may change a number or a time, cheap to gather."""
    return {
        "genloom": __version__,
        "python": platform.python_version(),
        "packages": {name: _version(name) for name in PACKAGES},
        "extras": {name: _version(name) for name in EXTRAS},
        "system": f"{platform.system()} {platform.machine()}",
        "processor": _processor(),
        "cores": len(os.sched_getaffinity(0))
        if hasattr(os, "sched_getaffinity")
        else os.cpu_count(),
        "memory_bytes": _memory(),
        "threads": torch.get_num_threads(),
        "devices": devices(),
    }


def devices() -> list[str]:
    """What torch can train on, the preferred one first."""
    found = [f"cuda:{i} {torch.cuda.get_device_name(i)}" for i in range(torch.cuda.device_count())]
    if torch.backends.mps.is_available():
        found.append("mps")
    return [*found, "cpu"]


def bfloat16_speed(size: int = 256, repeats: int = 3) -> float:
    """How many times faster a matrix product is in bfloat16 than in float32 here, measured.

    Below 1 where the processor has no unit for it; `precision = "auto"` then stays at float32.
    """
    seconds = {}
    device = "cuda" if torch.cuda.is_available() else "cpu"
    for dtype in (torch.float32, torch.bfloat16):
        a = torch.ones(size, size, dtype=dtype, device=device)
        times = []
        for _ in range(repeats + 1):
            start = time.perf_counter()
            (a @ a)[0, 0].item()
            times.append(time.perf_counter() - start)
        seconds[dtype] = min(times[1:])
    return seconds[torch.float32] / seconds[torch.bfloat16]


def machine() -> str:
    """The machine in a few words, for cards and reports."""
    facts = describe()
    device = facts["devices"][0]
    cores = f"{facts['cores']} core{'s' * (facts['cores'] != 1)}"
    return f"{facts['system']}, {facts['processor']}, {cores}, {device}"


def _version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None


def _processor() -> str:
    """The processor's name as the system gives it."""
    info = Path("/proc/cpuinfo")
    if info.exists():
        for line in info.read_text().splitlines():
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _memory() -> int | None:
    """Bytes of memory of the machine."""
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (AttributeError, OSError, ValueError):
        return None
