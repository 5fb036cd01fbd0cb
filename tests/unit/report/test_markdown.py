"""A comparison as Markdown: cells, marks, and pictures of the samples."""

from __future__ import annotations

import torch
from PIL import Image

from genloom.metrics.league import compare_verdicts
from genloom.metrics.pictures import grid, png
from genloom.report import markdown
from genloom.report.terminal import WIDE, table_of
from tests.unit.report import made

FAMILIES = ("gan", "vae", "flow")


def content(**given):
    return {**made.comparison(FAMILIES), "failed": [], "warnings": [], **given}


def test_the_table_has_real_data_the_rows_and_the_trivial_generator():
    head, real, *rows, trivial = markdown.table(content())
    assert [row[0] for row in rows] == ["flow", "gan", "vae"]  # the nearest to the data first
    assert (real[0], trivial[0]) == ("real, unseen", "trivial")
    kid = head.index("KID")
    assert real[kid] == "0.0004" and trivial[kid] == "1.9000"
    assert [row[kid] for row in rows] == [
        "**0.0190 \u00b1 0.0040**",
        "**0.0210 \u00b1 0.0040**",
        "0.0550 \u00b1 0.0040",
    ]
    bits = head.index("Bits per dimension")
    assert [row[bits] for row in rows] == ["", "", "1.840 \u00b1 0.030"]  # one alone wins nothing
    assert rows[1][-4:] == ["61 s", "700", "2\u202f500", "pass"]
    assert len({len(line) for line in (head, real, *rows, trivial)}) == 1


def test_likelihoods_of_other_data_are_told_apart_by_number():
    given = made.comparison(("vae", "autoregressive"))
    for estimate in given["verdicts"][1]["estimates"]:
        estimate["id"] = "exact; items as Pixels keeps them (16 values)"
    given["table"] = compare_verdicts(given["verdicts"])
    given = {**given, "failed": [], "warnings": []}
    head = markdown.table(given)[0]
    assert [t for t in head if t.startswith("Bits")] == [
        "Bits per dimension [1]",
        "Bits per dimension [2]",
    ]
    assert markdown.forms(given) == ["items as stored", "items as Pixels keeps them (16 values)"]


def test_the_worst_seed_tells_of_copies():
    verdicts = [made.verdict("vae", seed, copies=c) for seed, c in enumerate(("pass", "fail"))]
    given = {"verdicts": verdicts, "table": compare_verdicts(verdicts), "runs": []}
    row = markdown.table({**given, "failed": [], "warnings": []})[2]
    assert row[0] == "vae" and row[-1] == "fail, in 1 of 2"


def test_features_that_are_not_trusted_rank_nobody():
    given = made.comparison(FAMILIES, trusted=False)
    rows = markdown.table({**given, "failed": [], "warnings": []})
    kid = rows[0].index("KID")
    assert not any("**" in row[kid] for row in rows)
    assert any("**" in cell for row in rows for cell in row)  # label accuracy needs no features


def test_files_are_a_table_and_one_picture_for_each_row(tmp_path):
    path = markdown.write(content(), tmp_path / "table")
    text = path.read_text(encoding="utf-8")
    lines = text.splitlines()
    assert lines[0].startswith("|  | samples | KID |") and set(lines[1]) <= set("|- ")
    assert "![samples of vae](vae.png)" in lines[5]
    assert lines[3].startswith("| flow | ![samples of flow](flow.png) |")
    assert sorted(p.name for p in path.parent.glob("*.png")) == [
        "flow.png",
        "gan.png",
        "real-unseen.png",
        "vae.png",
    ]
    assert "n = 1\u202f000" in text and "dddddddddddd" in text


def test_a_strip_shows_items_from_all_over_the_sheet():
    items = torch.arange(16, dtype=torch.uint8).view(16, 1, 1, 1).expand(-1, 1, 3, 5) * 10
    picture = markdown.strip(png(grid(items)), (1, 3, 5))
    assert picture.size == (4 * 6 + 1, 2 * 4 + 1)
    found = [[picture.getpixel((3 + 6 * i, 2 + 4 * line)) for i in range(4)] for line in (0, 1)]
    assert found == [[0, 40, 80, 120], [20, 60, 100, 140]]
    assert isinstance(picture, Image.Image) and picture.getpixel((0, 0)) == 255


def test_many_rows_stand_below_each_other_in_a_terminal():
    few = content()
    assert table_of(few).splitlines()[0].split()[:3] == list(FAMILIES)
    rows = few["table"]["rows"]
    many = {**few, "table": {**few["table"], "rows": rows * (WIDE // len(rows) + 1)}}
    lines = table_of(many).splitlines()
    assert lines[0].split()[0] == "KID" and lines[1].startswith("real, unseen")
    assert sum(line.startswith("gan") for line in lines) == WIDE // len(rows) + 1
    assert "*0.0190 \u00b1 0.0040*" in table_of(many)
