"""Regular expressions of an operator, under a time limit that really ends them.

`re` can take exponential time on a text that is written for it, and it holds the interpreter lock
meanwhile: no thread of the server could notice that the time is over. Restricting the syntax would
either miss slow patterns or forbid useful ones. So matching runs in a child process of its own,
which gets texts and patterns through pipes, and which is killed at the limit. It costs about 0.3 ms
a text, and 20 to 50 ms where a child has to be started again.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import warnings
import weakref
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path
from threading import Lock, Timer
from typing import final

from genloom.errors import BadInput

_CHILD = Path(__file__).with_name("pattern_child.py")
_ENVIRONMENT = ("SYSTEMROOT",)  # without it Windows starts no process


def compiled(pattern: str) -> str:
    """The pattern, once it has compiled.

    Raises:
        BadInput: It does not, or it matches the empty text and so everything.
    """
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            empty = re.compile(pattern, re.IGNORECASE).match("")
    except (re.error, Warning, OverflowError, RecursionError) as error:
        raise BadInput(f"the pattern {pattern!r} is not a regular expression: {error}.") from error
    if empty:
        raise BadInput(f"the pattern {pattern!r} matches nothing at all, so it matches all texts.")
    return pattern


@final
class Patterns:
    """Patterns, and the process that matches them. Use from any thread; `close` when done.

    Args:
        patterns: As Python's `re` reads them; case is ignored.
        limit_s: Seconds for one call of `find`; the process is killed then.
    """

    def __init__(self, patterns: Sequence[str], *, limit_s: float = 0.25):
        self.patterns = [compiled(pattern) for pattern in patterns]
        self.limit_s = limit_s
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None
        self._end = lambda: None

    def find(self, texts: Sequence[str]) -> list[tuple[int, int, int, int]]:
        """(pattern, text, start, end) of every match that is not empty, 32 a pattern and text.

        Raises:
            TimeoutError: It took too long, or the process ended; the next call starts another.
        """
        if not self.patterns:
            return []
        with self._lock:
            process = self._process
            if process is None or process.poll() is not None:
                process = self._start()
            timer = Timer(self.limit_s, process.kill)
            timer.start()
            try:
                answer = _ask(process, json.dumps(list(texts)))
            finally:
                timer.cancel()
            if not answer:
                self._end()
                self._process = None
                raise TimeoutError(f"the patterns gave no answer within {self.limit_s} s")
            return [tuple(match) for match in json.loads(answer)]

    def close(self) -> None:
        """End the process."""
        with self._lock:
            self._end()
            self._process = None

    def _start(self) -> subprocess.Popen[str]:
        # isolated and without site-packages: it needs nothing of the server and sees none of it
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", "-X", "utf8", str(_CHILD)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            encoding="ascii",
            env={name: os.environ[name] for name in _ENVIRONMENT if name in os.environ},
        )
        self._process, self._end = process, weakref.finalize(self, _stop, process)
        assert process.stdin is not None
        # a pattern that compiled here compiles there; the first answer shows that it is ready
        process.stdin.write(json.dumps(self.patterns) + "\n")
        if not _ask(process, "[]"):
            self._end()
            self._process = None
            raise TimeoutError("the process for patterns did not start")
        return process


def _ask(process: subprocess.Popen[str], line: str) -> str:
    assert process.stdin is not None and process.stdout is not None
    try:
        process.stdin.write(line + "\n")
        process.stdin.flush()
        return process.stdout.readline()
    except (BrokenPipeError, ValueError):
        return ""


def _stop(process: subprocess.Popen[str]) -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            with suppress(BrokenPipeError):  # what was not flushed is of no use any more
                pipe.close()
