"""Freed memory stays with the process while it works: on a CPU, fresh pages are dear.

The GNU C library gives large freed blocks back to the system at once, and the kernel clears every
page that it hands out again. A convolutional net frees and takes the same megabytes at each step:
about 3,000 pages a step for a small VAE, a quarter of its time in one measurement. A process that
waits for requests has the opposite need, see `free_at_once`.
"""

from __future__ import annotations

import ctypes
import functools
import platform
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

# Parameters of mallopt(3): from which size on a block is mapped on its own (32 MiB is the most that
# it takes), and how much may lie free at the end of the heap before it is given back.
M_MMAP_THRESHOLD, M_TRIM_THRESHOLD = -3, -1
KEEP = {M_MMAP_THRESHOLD: 32 << 20, M_TRIM_THRESHOLD: -1}
USUAL = {M_MMAP_THRESHOLD: 4 << 20, M_TRIM_THRESHOLD: 8 << 20}  # as the library sets them itself
SPARING = KEEP | {M_TRIM_THRESHOLD: 1 << 20}

_depth = 0


@contextmanager
def kept_pages() -> Iterator[None]:
    """Within this, freed memory is kept for the next step; then what is free is given back.

    It may be nested. Where the C library is another one, nothing changes.
    """
    global _depth
    library = _glibc()
    _depth += 1
    if library is not None and _depth == 1:
        _set(library, KEEP)
    try:
        yield
    finally:
        _depth -= 1
        if library is not None and _depth == 0:
            _set(library, USUAL)
            library.malloc_trim(0)


def free_at_once() -> None:
    """From now on little freed memory stays with this process: for one that serves for long.

    Left alone, the library learns from the largest block freed so far, up to 32 MiB, to keep twice
    its size free, and in each thread anew: a server whose six threads had read large pictures held
    150 MB free, 477 MB instead of 334. Mapping what is smaller than 32 MiB would save as much, but
    makes reading a picture a fifth slower. Where the C library is another one, nothing changes.
    """
    library = _glibc()
    if library is not None:
        _set(library, SPARING)


@functools.cache
def _glibc() -> Any:
    if platform.libc_ver()[0] != "glibc":
        return None
    library = ctypes.CDLL(None)
    return library if hasattr(library, "mallopt") and hasattr(library, "malloc_trim") else None


def _set(library: Any, values: dict[int, int]) -> None:
    for name, value in values.items():
        library.mallopt(name, value)
