"""What a run says while it works: one line with the time left, `metrics.jsonl`, TensorBoard."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, TextIO

from genloom.checkpoint import naming_a_full_disk
from genloom.errors import need


def duration(seconds: float) -> str:
    """Seconds as a person reads them: 42s, 3m05s, 2h10m."""
    s = round(seconds)
    if s < 60:
        return f"{s}s"
    return f"{s // 60}m{s % 60:02d}s" if s < 3600 else f"{s // 3600}h{s % 3600 // 60:02d}m"


class Progress:
    """A line that renews itself on a terminal, and a plain line now and then elsewhere.

    Args:
        total: Of whatever is counted.
        label: What is being done.
        out: Where the line goes.
        quiet: Say nothing.
    """

    def __init__(self, total: int, label: str, out: TextIO | None = None, *, quiet: bool = False):
        self.total, self.label, self.quiet = total, label, quiet
        self.out = out or sys.stderr
        self.terminal = self.out.isatty() and os.environ.get("TERM") != "dumb"
        self.started, self.first = time.monotonic(), None
        self.said = 0.0

    def update(self, done: int, note: str = "") -> None:
        """Say how many are done, at most five times a second (in a log: each 10 s)."""
        now = time.monotonic()
        if self.first is None:
            self.first = (done, now)
        pause = 0.2 if self.terminal else 10.0
        if self.quiet or (now - self.said < pause and done < self.total):
            return
        self.said = now
        start, then = self.first
        left = (now - then) / (done - start) * (self.total - done) if done > start else None
        timing = f"{duration(left)} left" if left is not None and done < self.total else ""
        if done >= self.total:
            timing = duration(now - self.started)
        share = done / max(self.total, 1)
        line = f"{self.label} {share:4.0%} {done}/{self.total} {timing} {note}".rstrip()
        self.write(line)

    def write(self, line: str) -> None:
        """Show a line: over the last one on a terminal, below it elsewhere."""
        if self.quiet:
            return
        end = "" if self.terminal else "\n"
        print(f"\r\x1b[K{line}" if self.terminal else line, end=end, file=self.out, flush=True)

    def close(self) -> None:
        """End the line."""
        if self.terminal and not self.quiet:
            print(file=self.out, flush=True)


class Journal:
    """`metrics.jsonl`: one JSON object a line, appended; a resumed run drops what lies ahead of it.

    Args:
        path: Of the file.
        step: The step from which the run goes on.
        tensorboard: Folder of event files to write as well, or None.
    """

    def __init__(self, path: Path, step: int, tensorboard: Path | None = None):
        self.path = path
        if path.exists():
            kept = [line for line in self.read(path) if line["step"] <= step]
            text = "".join(json.dumps(line) + "\n" for line in kept)
            with naming_a_full_disk(path.parent):
                path.write_text(text)
        self.file = path.open("a")
        self.board = _board(tensorboard) if tensorboard else None

    @staticmethod
    def read(path: Path) -> list[dict[str, Any]]:
        """The lines of a journal; a last line that a kill cut short is left out."""
        lines = []
        for line in path.read_text().splitlines():
            try:
                lines.append(json.loads(line))
            except ValueError:
                break
        return lines

    def log(self, step: int, figures: Mapping[str, Any]) -> None:
        """Append the figures of a step."""
        with naming_a_full_disk(self.path.parent):
            self.file.write(json.dumps({"step": step, **figures}, allow_nan=False) + "\n")
            self.file.flush()
        if self.board:
            for name, value in figures.items():
                if isinstance(value, (int, float)):
                    self.board.add_scalar(name, value, step)

    def picture(self, step: int, image: Any) -> None:
        """Hand a PIL image of samples to TensorBoard."""
        if self.board:
            import numpy as np

            self.board.add_image(
                "samples", np.asarray(image.convert("RGB")), step, dataformats="HWC"
            )

    def close(self) -> None:
        """End the file."""
        self.file.close()
        if self.board:
            self.board.close()


def _board(folder: Path) -> Any:
    try:
        from torch.utils.tensorboard import SummaryWriter
    except ImportError:
        raise need("tensorboard", "track", "train.tensorboard = true") from None
    return SummaryWriter(str(folder))
