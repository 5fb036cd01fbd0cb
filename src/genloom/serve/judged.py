"""The verdicts that a server knows: beside its models, and of its own jobs."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, final

if TYPE_CHECKING:
    from genloom.serve.known import Known

FILE = "verdict.json"
LARGEST = 2**28  # bytes; its pictures are part of it
SETTLED_S = 10.0  # a folder that changed more recently may be about to change again


@final
@dataclass(frozen=True)
class Verdict:
    """What was found of a model; see `evaluation.Verdict`.

    Args:
        sha256: Of its file; of the card's measures, as sorted JSON, where there is no file.
        model: SHA-256 of the weights that it is of.
        passed: None where only the card's measures are known.
        failures: Why it is no pass.
        estimates: Name -> value, low, high, n, floor and more.
        conditions: Data, split, n, extractor, judge.
    """

    sha256: str
    model: str
    passed: bool | None
    failures: tuple[str, ...] = ()
    estimates: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    conditions: Mapping[str, Any] = field(default_factory=dict)


@final
class Verdicts:
    """Finds the newest verdict of a model's weights; files are read when they are new or changed.

    Args:
        folder: Below it each job of judging has a folder, named by its id.
    """

    def __init__(self, folder: Path):
        self.folder = folder
        self._read: dict[Path, tuple[int, Verdict | None]] = {}  # path -> (time, what it says)
        self._jobs: list[tuple[int, Verdict | None]] = []
        self._looked_ns = -1

    def of(self, known: Known) -> Verdict | None:
        """The newest one of these very weights; None where there is none."""
        return next(iter(self.all(known)), None)

    def all(self, known: Known) -> list[Verdict]:
        """Those of these very weights, newest first; the card's measures where there are none."""
        beside = [self._at(folder / FILE) for folder in (known.folder, known.folder.parent)]
        found = [*beside, *self._judged()]
        same = [(when, one) for when, one in found if one is not None and one.model == known.hash]
        card = _of_card(known)
        if not same and card is not None:
            return [card]
        return [one for _, one in sorted(same, key=lambda pair: -pair[0])]

    def _judged(self) -> list[tuple[int, Verdict | None]]:
        """Those of jobs; the folder is looked at again when it has changed."""
        try:
            changed = self.folder.stat().st_mtime_ns
        except OSError:
            return []
        if changed != self._looked_ns or time.time() - changed / 1e9 < SETTLED_S:
            self._jobs = [self._at(path) for path in self.folder.glob(f"**/{FILE}")]
            self._looked_ns = changed
        return self._jobs

    def _at(self, path: Path) -> tuple[int, Verdict | None]:
        try:
            when = path.stat().st_mtime_ns
        except OSError:
            return 0, None
        if self._read.get(path, (-1, None))[0] != when:
            self._read[path] = when, _read(path)
        return self._read[path]


def _read(path: Path) -> Verdict | None:
    """The verdict in a file; None where the file is none."""
    try:
        if path.stat().st_size > LARGEST:
            return None
        data = path.read_bytes()
        told = json.loads(data)
        return Verdict(
            sha256=hashlib.sha256(data).hexdigest(),
            model=str(told["model"]),
            passed=told["passed"] is True,
            failures=tuple(map(str, told["failures"])),
            estimates={one["name"]: _plain(one) for one in told["estimates"]},
            conditions=dict(told["conditions"]),
        )
    except (OSError, ValueError, KeyError, TypeError):
        return None  # as good as no verdict: the model does not pass


def _of_card(known: Known) -> Verdict | None:
    """The measures of the model's own card, which cannot say whether it passed."""
    if not known.measures:
        return None
    text = json.dumps(known.measures, sort_keys=True)
    try:
        estimates = {name: _plain(one) for name, one in known.measures.items()}
    except (ValueError, KeyError, TypeError):
        return None
    return Verdict(hashlib.sha256(text.encode()).hexdigest(), known.hash, None, (), estimates)


def _plain(estimate: Mapping[str, Any]) -> dict[str, Any]:
    """An estimate whose value and ends are numbers."""
    ends = {name: float(estimate[name]) for name in ("value", "low", "high")}
    return {**estimate, **ends}
