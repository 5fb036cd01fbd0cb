"""`data.check` reads as training is told to read, and says no wherever training would."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from genloom import data
from genloom.errors import BadInput


def test_it_reads_by_the_options_of_training(tmp_path: Path) -> None:
    path = tmp_path / "qa.csv"
    path.write_text("question,reply\nhi,ho\nwho,me\nyes,no\n", "utf-8")
    assert "data.text_column" in data.check(path).problem
    report = data.check(path, text_column="question,reply")
    assert (report.n, report.problem, report.notes[-1]) == (3, "", "talks of assistant, user")


@pytest.mark.parametrize(
    ("text", "options", "reason"),
    [
        ("a few words", {}, "length = 128"),
        ("one\ntwo\nthree\n", {"document": "line", "tokenizer": "smiles"}, "too few"),
        ("one\ntwo\nthree\n", {"document": "line", "tokenizer": "nowhere/"}, "tokenizer.json"),
        ("one\ntwo\nthree\n", {"document": "line", "vocab": 300}, "leave it out"),
        ("one\ntwo\nthree\n", {"given": "paired"}, "folder"),
    ],
)
def test_what_training_refuses_is_not_ready(
    text: str, options: dict[str, Any], reason: str, tmp_path: Path
) -> None:
    path = tmp_path / "a.txt"
    path.write_text(text, "utf-8")
    report = data.check(path, **options)
    assert not report.ready
    assert reason in report.problem
    with pytest.raises(BadInput, match=reason):
        data.open_dataset(path, **options, cache=tmp_path / "cache")
