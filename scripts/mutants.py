"""Break the package in known ways, one at a time, and see that a test notices each.

`make mutants` runs all; `python scripts/mutants.py WORD` those whose file or test holds the word.
Each entry of a `mutants.toml` under tests/ names a file, a text in it, a broken text, and the
tests that must fail. The package is copied first: the working tree is never touched.
"""

from __future__ import annotations

import os
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path

ROOT = Path(__file__).parent.parent


def survives(mutant: dict[str, str], folder: Path) -> str | None:
    """Why a mutant is not caught, or None if the tests fail on it as they should."""
    source = folder / "src"
    shutil.rmtree(source, ignore_errors=True)
    shutil.copytree(ROOT / "src", source)
    path = source / "genloom" / mutant["file"]
    text = path.read_text()
    if text.count(mutant["text"]) != 1:
        return f"its text stands {text.count(mutant['text'])} times in {mutant['file']}"
    path.write_text(text.replace(mutant["text"], mutant["broken"]))
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-x",
        "-m",
        "slow or not slow",
        *shlex.split(mutant["tests"]),
    ]
    environment = os.environ | {"PYTHONPATH": str(source), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(command, cwd=ROOT, env=environment, capture_output=True, text=True)
    if done.returncode == 0:
        return "its tests pass on the broken version"
    return (
        None
        if done.returncode == 1
        else f"pytest ended with {done.returncode}: {done.stdout[-300:]}"
    )


def main() -> int:
    """Run the mutants that the arguments choose; 1 if any survives."""
    words = sys.argv[1:]
    tables = sorted((ROOT / "tests").rglob("mutants.toml"))
    mutants = [m for table in tables for m in tomllib.loads(table.read_text())["mutant"]]
    chosen = [m for m in mutants if all(w in m["file"] + m["tests"] for w in words)]
    alive = 0
    with tempfile.TemporaryDirectory() as folder:
        for mutant in chosen:
            why = survives(mutant, Path(folder))
            alive += why is not None
            state = f"SURVIVES: {why}" if why else "caught"
            print(f"{mutant['file']}: {mutant['broken'].strip()[:60]!r}: {state}", flush=True)
    print(f"{len(chosen) - alive} of {len(chosen)} caught")
    return int(alive > 0)


if __name__ == "__main__":
    sys.exit(main())
