"""Notes on sound data: columns of unequal scale, nothing held out, and tables read as prose."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from genloom import data
from genloom.data.doubts import doubts, uneven, unheld
from genloom.data.text import as_table
from genloom.errors import BadInput
from genloom.recipe import resolve
from genloom.trainer import train


def test_columns_of_unequal_scale_are_named():
    x = torch.randn(500, 3) * torch.tensor([1.0, 0.5, 4e3]) + 7
    (note,) = uneven(x)
    ratio = round(float(x[:, 2].double().std() / x[:, 1].double().std()))
    assert f"x2 spreads {ratio} times as wide as x1" in note
    assert uneven(x[:, :2]) == []


@pytest.mark.parametrize("fixed", [[2], [0, 1, 2]])
def test_a_column_of_one_value_has_no_scale(fixed):
    x = torch.randn(500, 3)
    x[:, fixed] = 5.0
    assert uneven(x) == []


def test_the_check_of_points_says_so_first(tmp_path):
    x = np.random.default_rng(0).normal(size=(50, 2)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=x * np.array([1, 1e4], np.float32))
    assert data.check(tmp_path / "a.npz").notes[0].startswith("columns differ in scale: x1")
    np.savez(tmp_path / "b.npz", x=x)
    assert data.check(tmp_path / "b.npz").notes == []


def test_nothing_held_out_is_said(tmp_path, paint):
    (tmp_path / "one.txt").write_text("one document and no more\n")
    report = data.check(tmp_path / "one.txt", document="line")
    assert report.ready and report.notes[:1] == unheld(0)
    (tmp_path / "many.txt").write_text("".join(f"line {i}\n" for i in range(20)))
    assert unheld(0)[0] not in data.check(tmp_path / "many.txt", document="line").notes
    dataset = data.open_dataset(tmp_path / "one.txt", document="line")
    assert doubts(dataset) == unheld(0) and "valid: 0" in unheld(0)[0]


def test_nothing_held_out_of_pictures_is_said(tmp_path, paint):
    for i in range(10):
        for n in (4, 10):
            if i < n:
                paint(tmp_path / str(n) / f"{i}.png", i)
        paint(tmp_path / "parts" / ("valid" if i == 3 else "train") / f"{i}.png", i)
    reports = {name: data.check(tmp_path / name) for name in ("4", "10", "parts")}
    assert {name: unheld(0)[0] in report.notes for name, report in reports.items()} == {
        "4": True,
        "10": False,
        "parts": False,
    }
    assert len(data.open_dataset(tmp_path / "4").valid) == 0


def test_training_says_it_too(tmp_path, capsys):
    x = np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32)
    np.savez(tmp_path / "a.npz", x=x * np.array([1, 1e4], np.float32))
    recipe = {
        "data": {"source": str(tmp_path / "a.npz"), "test": 0},
        "model": {"use": "flow", "net": {"use": "mlp", "width": 8, "blocks": 1}},
        "train": {"steps": 1, "batch": 2},
    }
    train(resolve(recipe), tmp_path / "run")
    said = capsys.readouterr().err
    assert "note: columns differ in scale: x1" in said and f"note: {unheld(0)[0]}.\n" in said


ROWS = "39, State-gov, 77516\n50, Self-emp, 83311\n\n38, Private, 215646\n"


@pytest.mark.parametrize(
    ("text", "columns"),
    [
        (ROWS, 3),
        (ROWS.replace(", ", "\t"), 3),
        (ROWS.replace(", ", ";"), 3),
        (ROWS + "53, Private", 3),  # the last line is cut by the reader
        (ROWS + "53, Private\n", 0),
        (ROWS + "53, Private, 234721, 11th\n", 0),
        ("one, two\n" * 5, 0),
        ('1,"a, b",2\n' * 3, 3),
        (ROWS[:30], 0),
        ("To be, or not to be\nthat is the question,\nwhether, or, or\n", 0),
        ("".join(f"{i},b,c,d\n" for i in range(20)) + "and so on\n", 4),
    ],
)
def test_rows_of_cells_are_told_from_prose(text, columns):
    wanted = f"it looks like a table of {columns} columns; it is read as plain text"
    assert as_table(text.encode()) == ([wanted] if columns else [])


@pytest.mark.parametrize("unit", [None, "line"])
def test_a_carriage_return_within_a_line_makes_no_table(unit, tmp_path):
    path = tmp_path / "old.txt"
    path.write_bytes(b"a, b, c\r and, more, of it\r\n" * 100)
    assert data.check(path, document=unit).ready
    dataset = data.open_dataset(path, document=unit)
    assert not any("table" in note for note in dataset.notes)


@pytest.mark.parametrize("unit", [None, "line"])
def test_a_table_without_its_ending_is_noted(unit, tmp_path):
    (tmp_path / "adult.data").write_text(ROWS * 40)
    report = data.check(tmp_path / "adult.data", document=unit)
    assert report.ready and any("a table of 3 columns" in note for note in report.notes)


def test_a_table_of_numbers_is_sent_the_right_way(tmp_path):
    (tmp_path / "a.csv").write_text("5.1,3.5,setosa\n4.9,3.0,setosa\n")
    problem = data.check(tmp_path / "a.csv").problem
    assert "mixed columns are not modelled yet" in problem and "x (N, D) of an .npz" in problem
    assert "The first line is read as the names of columns, 5.1 too." in problem
    (tmp_path / "b.csv").write_text("age,job\n39,clerk\n")
    assert "first line" not in data.check(tmp_path / "b.csv").problem


def test_messages_of_arrays_say_what_is_taken(tmp_path):
    x = np.arange(20).reshape(10, 2)
    np.savez(tmp_path / "a.npz", x=x)
    with pytest.raises(BadInput, match=r"int64 of shape \(10, 2\).*or floats \(N, D\) for points"):
        data.open_dataset(tmp_path / "a.npz")
    np.savez(tmp_path / "a.npz", x=x.astype(np.float32), y=np.arange(9))
    with pytest.raises(BadInput, match=r"fewer labels than items \(9 labels for 10 items\)"):
        data.open_dataset(tmp_path / "a.npz")
