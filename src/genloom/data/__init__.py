"""Find, check, split, pack and batch a user's files; and data sets that need no download."""

from __future__ import annotations

from genloom.data.augment import Augment
from genloom.data.builtin import BUILTIN
from genloom.data.check import Report, check
from genloom.data.dataset import Dataset, Split, open_test
from genloom.data.findings import CODES, Damaged, Finding
from genloom.data.importing import open_dataset
from genloom.data.points import centres, log_density

__all__ = [
    "BUILTIN",
    "CODES",
    "Augment",
    "Damaged",
    "Dataset",
    "Finding",
    "Report",
    "Split",
    "centres",
    "check",
    "log_density",
    "open_dataset",
    "open_test",
]
