"""Where the well-known data sets lie: GENLOOM_DATA, or shared/data beside the repository."""

from __future__ import annotations

import os
import sys
from pathlib import Path


def data_folder(name: str) -> Path:
    """The folder of one data set; where it is missing the benchmark ends with a line and code 0."""
    root = Path(os.environ.get("GENLOOM_DATA", Path(__file__).parents[2] / "shared" / "data"))
    if not (root / name).is_dir():
        print(f"skipped: {root / name} is missing; set GENLOOM_DATA to the folder that holds it.")
        sys.exit(0)
    return root / name
