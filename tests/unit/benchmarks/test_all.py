"""`make bench` runs every benchmark that needs no trained model."""

from __future__ import annotations

from pathlib import Path

import benchmarks
from benchmarks.__main__ import ALL

OF_A_RUN = {"solver_steps"}


def test_every_benchmark_is_run():
    modules = Path(benchmarks.__file__).parent.glob("[a-z]*.py")
    found = {path.stem for path in modules if "__main__" in path.read_text("utf-8")}
    assert set(ALL) == found - OF_A_RUN
