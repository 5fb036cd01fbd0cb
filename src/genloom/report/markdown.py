"""A comparison as a Markdown table with samples beside each row: for a README, a paper, a wiki."""

from __future__ import annotations

import base64
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from PIL import Image

from genloom.checkpoint import write_text
from genloom.report import measures
from genloom.report.numbers import duration, number
from genloom.report.reading import Subject, is_picture, subjects

Dict = Mapping[str, Any]
GAP = 1  # pixels between the tiles of a sheet, as `metrics.pictures.grid` leaves them
STRIP = 2  # rows of a picture
COPIES = ("pass", "refused", "fail")


def write(content: Dict, folder: Path) -> Path:
    """Write README.md and, for pictures, NAME.png of the samples of each row; the table's path.

    Args:
        content: Of a comparison; see `comparison.Comparison`.
        folder: Made if it is not there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    lines = table(content)
    people = ranked(content)
    first = people[0].verdicts[0]
    sheets = [_sheet(first, "real"), *(_sheet(s.verdicts[0], "samples") for s in people), None]
    if any(sheets):
        for line, sheet in zip(lines[1:], sheets, strict=True):
            line.insert(1, _picture(sheet, line[0], first, folder))
        lines[0].insert(1, "samples")
    rule = ["---"] * len(lines[0])
    text = "\n".join(f"| {' | '.join(line)} |" for line in (lines[0], rule, *lines[1:]))
    write_text(folder / "README.md", f"{text}\n\n{_method(content, people)}\n")
    return folder / "README.md"


def table(content: Dict) -> list[list[str]]:
    """A head, real data, each row of the comparison, and the trivial generator, as cells.

    Only the measures that answer a question of the summary; ** marks what nothing beats.
    """
    people, found, columns = ranked(content), content["table"], _columns(content)
    trusted = bool(content["verdicts"][0]["extractor"]["trusted"])
    trained = ["trained", "steps", "samples/s"]
    ends = [("real, unseen", "floor"), ("trivial", "trivial")]
    real, trivial = (
        [name, *(_end(c, people, key) for c in columns), *[""] * len(trained), ""]
        for name, key in ends
    )
    rows = [
        [s.name, *(_cell(c, s, people, found, trusted) for c in columns), *_effort(s), _copies(s)]
        for s in people
    ]
    marked = list(forms(content))
    titles = [
        measures.about(c).title + (f" [{marked.index(_form(c)) + 1}]" if _form(c) else "")
        for c in columns
    ]
    return [["", *titles, *trained, "copies"], real, *rows, trivial]


def ranked(content: Dict) -> list[Subject]:
    """The rows of a comparison, the best first by the first measure of the table."""
    first = next(iter(_columns(content)), None)

    def badness(subject: Subject) -> float:
        figures = first and subject.row["metrics"].get(first["name"])
        if not first or not figures:
            return float("inf")
        return -figures["value"] if first["better"] == "higher" else figures["value"]

    return sorted(subjects(content), key=badness)


def forms(content: Dict) -> list[str]:
    """Of likelihoods that are not of the same data, what each is of; the table counts them."""
    return [form for form in map(_form, _columns(content)) if form]


def _columns(content: Dict) -> list[Dict]:
    return [c for c in measures.columns(content["table"]) if measures.about(c).headline]


def _form(column: Dict) -> str:
    return column["name"].partition(" (")[2].removesuffix(")")


def _cell(
    column: Dict, subject: Subject, people: Sequence[Subject], found: Dict, trusted: bool
) -> str:
    figures = subject.row["metrics"].get(column["name"])
    if figures is None:
        return ""
    digits, percent = measures.places(column, people), measures.about(column).percent
    half = number((figures["high"] - figures["low"]) / 2, digits, percent=percent)
    value = number(figures["value"], digits, percent=percent)
    text = f"{value.removesuffix(' %')} \u00b1 {half}"
    ranked = len(measures.cells(column, people)) > 1
    ranked &= trusted or not measures.in_features(column)
    return (
        f"**{text}**" if ranked and subject.row["group"] in found["best"][column["name"]] else text
    )


def _end(column: Dict, people: Sequence[Subject], key: str) -> str:
    value, percent = column[key], measures.about(column).percent
    return "" if value is None else number(value, measures.places(column, people), percent=percent)


def _effort(subject: Subject) -> list[str]:
    """Time and steps of training, and samples a second, each the median over seeds."""
    training = [v.get("training", {}) for v in subject.verdicts]
    rates = [
        v["n"] / v["seconds"]["sampling"]
        for v in subject.verdicts
        if (v.get("seconds") or {}).get("sampling")
    ]
    seconds, steps = ([t[key] for t in training if t.get(key)] for key in ("seconds", "steps"))
    return [
        duration(_median(seconds)) if seconds else "",
        number(_median(steps), 0) if steps else "",
        number(_median(rates), 0 if _median(rates) >= 10 else 1) if rates else "",
    ]


def _copies(subject: Subject) -> str:
    """What the test for copies of training items says, in the worst of the seeds."""
    found = [v["copies"]["verdict"] for v in subject.verdicts]
    worst = max(found, key=COPIES.index)
    return f"{worst}, in {found.count(worst)} of {len(found)}" if len(set(found)) > 1 else worst


def _median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def _sheet(verdict: Dict, key: str) -> str | None:
    found = (verdict.get("pictures") or {}).get(key)
    return found if is_picture(found) else None


def _picture(sheet: str | None, name: str, verdict: Dict, folder: Path) -> str:
    """The Markdown of one picture, whose file is written."""
    if sheet is None:
        return ""
    file = re.sub(r"[^\w-]+", "-", name) + ".png"
    strip(sheet, verdict["items"]["shape"]).save(folder / file, optimize=True)
    return f"![samples of {name}]({file})"


def strip(sheet: str, shape: Sequence[int]) -> Image.Image:
    """Items spread over a sheet, so that every class may be among them, in two rows.

    Args:
        sheet: A data URI of a square grid of items, row by row.
        shape: Of an item, (C, H, W).
    """
    whole = Image.open(io.BytesIO(base64.b64decode(sheet.partition(",")[2])))
    height, width = shape[1] + GAP, shape[2] + GAP
    rows, columns = (whole.height - GAP) // height, (whole.width - GAP) // width
    lines = min(STRIP, columns)
    page = Image.new(whole.mode, (rows * width + GAP, lines * height + GAP), "white")
    for line in range(lines):
        left = line * columns // lines * width
        for row in range(rows):
            tile = whole.crop((left, row * height, left + width, row * height + height))
            page.paste(tile, (row * width, line * height))
    return page


def _method(content: Dict, people: Sequence[Subject]) -> str:
    verdict, seeds = people[0].verdicts[0], min(len(s.verdicts) for s in people)
    told = [
        f"n = {number(verdict['n'], 0)} samples and as many unseen items; \u00b1 is half of a 95 % "
        f"interval over {seeds} training seed{'s' if seeds > 1 else ''}. Bold: nothing is shown to "
        "be better. Data: "
        f"{verdict['data']['name']}, fingerprint {verdict['data']['fingerprint'][:12]}."
    ]
    told += [f"[{i}] {form}." for i, form in enumerate(forms(content), 1)]
    told += [f"{f['family']}, seed {f['seed']}, failed: {f['message']}" for f in content["failed"]]
    return "\n\n".join(told)
