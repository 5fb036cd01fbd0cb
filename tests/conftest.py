"""Fixtures that every test may use."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
import torch

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of well-known data sets, named by GENLOOM_DATA or beside the repository."""
    folder = Path(os.environ.get("GENLOOM_DATA", ROOT.parent / "shared" / "data"))
    if not folder.is_dir():
        pytest.skip("no data sets: set GENLOOM_DATA to a folder that holds mnist/, names/, ...")
    return folder


@pytest.fixture(scope="session", autouse=True)
def cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Packed data sets and extractors of the tests go to a folder of their own."""
    folder = tmp_path_factory.mktemp("cache")
    os.environ["GENLOOM_CACHE"] = str(folder)
    return folder


@pytest.fixture(autouse=True)
def seeded() -> None:
    """Every test begins from the same global random state."""
    torch.manual_seed(0)
