"""Where a run stands, in `run.json`, and the lock that keeps a second trainer out of its folder."""

from __future__ import annotations

import fcntl
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, is_dataclass
from pathlib import Path
from shlex import quote
from typing import TYPE_CHECKING, Any

from genloom import checkpoint, environment, runs
from genloom.catalog import foreign
from genloom.errors import BadInput
from genloom.recipe import changes, dumps

if TYPE_CHECKING:
    from genloom.recipe import Plan


class Record:
    """`run.json`: where a run stands, for `genloom runs` and for whoever resumes it.

    A run begins when its rehearsal has ended well. What is left of one that never began stands in
    nobody's way: whatever is trained next in its folder takes its place.
    """

    def __init__(self, path: Path, plan: Plan, resume: str, rank: int):
        self.path, self.rank = path, rank
        identity = {
            "recipe": plan.recipe,
            "data": {"name": plan.dataset.name, "fingerprint": plan.dataset.fingerprint},
        }
        known = runs.state(path.parent)
        if not begun(known):
            if rank == 0:
                _describe(plan, path.parent)
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
        self.content = known
        if found := changes(self.content["recipe"], json.loads(json.dumps(plan.recipe))):
            raise BadInput(
                f"{path.parent} holds a run of another recipe: {', '.join(found[:3])}. Choose "
                "another --out, or resume it as it was: "
                f"{command('train --resume', path.parent, known['recipe'])}"
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


def command(verb: str, run: Path, recipe: Mapping[str, Any]) -> str:
    """A line for the shell that does something with a run.

    Args:
        verb: With its flags, such as "train --resume".
        run: Its folder, or a file in it.
        recipe: Of the run; one that names code outside the catalog needs a flag.
    """
    allowed = " --allow-code" if foreign(recipe) else ""
    return f"genloom {verb} {quote(str(run))}{allowed}"


def begun(state: Mapping[str, Any]) -> bool:
    """Whether the run of a `run.json` ever took a step that is kept, or was about to."""
    return state.get("forecast") is not None


def _describe(plan: Plan, folder: Path) -> None:
    """Write what a run stands on before it begins."""
    dataset = plan.dataset
    facts = {
        "name": dataset.name,
        "fingerprint": dataset.fingerprint,
        "items": asdict(dataset.items),
        "train": len(dataset.train),
        "valid": len(dataset.valid),
        "test": dataset.held_out,
        "findings": [_plain(finding) for finding in dataset.findings],
    }
    checkpoint.write_text(folder / "recipe.toml", dumps(plan.recipe))
    checkpoint.write_text(folder / "data.json", json.dumps(facts, indent=1) + "\n")
    checkpoint.write_text(folder / "env.json", json.dumps(environment.describe(), indent=1) + "\n")


def _plain(finding: Any) -> Any:
    """A finding as JSON data."""
    if is_dataclass(finding) and not isinstance(finding, type):
        return {k: _plain(v) for k, v in asdict(finding).items()}
    if isinstance(finding, dict):
        return {str(k): _plain(v) for k, v in finding.items()}
    if isinstance(finding, list | tuple):
        return [_plain(v) for v in finding]
    return finding if isinstance(finding, int | float | str | bool | None) else str(finding)


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
