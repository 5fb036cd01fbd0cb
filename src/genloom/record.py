"""Where a run stands, in `run.json`, and the lock that keeps a second trainer out of its folder."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genloom import checkpoint
from genloom.errors import BadInput
from genloom.recipe import changes

if TYPE_CHECKING:
    from genloom.recipe import Plan


class Record:
    """`run.json`: where a run stands, for `genloom runs` and for whoever resumes it."""

    def __init__(self, path: Path, plan: Plan, resume: str, rank: int):
        self.path, self.rank = path, rank
        identity = {
            "recipe": plan.recipe,
            "data": {"name": plan.dataset.name, "fingerprint": plan.dataset.fingerprint},
        }
        if not path.exists():
            self.content: dict[str, Any] = {
                "name": plan.name,
                "status": "rehearsing",
                "step": 0,
                "total": None,
                "seconds": 0.0,
                "forecast": None,
                "alarms": [],
                "precision": "float32",
                "compiled": False,
                "private": None,
                "active": [],
                "options": asdict(plan.options),
                **identity,
            }
            self.update()
            return
        if resume == "never":
            raise BadInput(f"{path.parent} holds a run already. Choose another --out.")
        self.content = json.loads(path.read_text())
        if found := changes(self.content["recipe"], json.loads(json.dumps(plan.recipe))):
            raise BadInput(
                f"{path.parent} holds a run of another recipe: {', '.join(found[:3])}. Choose "
                f"another --out, or resume it as it was: genloom train --resume {path.parent}"
            )
        if self.content["data"] != identity["data"]:
            raise BadInput(
                f"{path.parent} holds a run of other data: {plan.dataset.name} is not what it was "
                "trained on so far. Put that back, or choose another --out."
            )

    def __getitem__(self, key: str) -> Any:
        return self.content[key]

    def update(self, **changes: Any) -> None:
        """Change and write."""
        self.content |= changes
        if self.rank == 0:
            checkpoint.write_text(self.path, json.dumps(self.content, indent=1))


@contextmanager
def locked(out: Path, rank: int) -> Iterator[None]:
    """Hold the folder: two trainers in one would ruin each other's files."""
    if rank > 0:
        yield
        return
    with (out / ".lock").open("w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            raise BadInput(f"{out} is being trained in by another process.") from None
        yield
