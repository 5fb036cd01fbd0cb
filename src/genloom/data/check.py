"""Say what a source holds and what is wrong with it, without training on it."""

from __future__ import annotations

import os
from collections import Counter
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from genloom.core import Items
from genloom.data import doubts
from genloom.data.augment import Augment
from genloom.data.builtin import BUILTIN
from genloom.data.captions import fitted, learn, pieces_of
from genloom.data.captions import lines as lines_of
from genloom.data.findings import CODES, Damaged, Finding, printable
from genloom.data.importing import augmentation, import_options, open_dataset, reader_of, usual
from genloom.data.pack import NOTHING, ImportOptions, divided
from genloom.data.shelving import survey
from genloom.data.source import Entry, Source
from genloom.data.split import digest
from genloom.data.survey import Survey, shape_of
from genloom.data.tables import hub_source
from genloom.data.text import cut, number
from genloom.errors import BadInput, DiskFull
from genloom.given import check as check_source

_SHOWN = 8  # findings of one code in the text


@dataclass
class Report:
    """What `genloom data check` says.

    Args:
        source: What was looked at.
        form: What the files are, in words.
        kind: "image", "points", "text", or "" if nothing could be read.
        n: Items that can be used; of a text, characters.
        counted: What n counts.
        shapes: "1x28x28" -> how many.
        classes: Name -> how many.
        unlabelled: Items without a label, where there are classes.
        captions: Items with a caption.
        parts: The files' own parts -> how many; empty where a hash would decide.
        duplicates: Items that repeat an earlier one.
        findings: One for each thing that is worth knowing.
        notes: Rules that were applied, in words.
        problem: What stands against training on it, or "".
    """

    source: str
    form: str = ""
    kind: str = ""
    n: int = 0
    counted: str = "items"
    shapes: dict[str, int] = field(default_factory=dict)
    classes: dict[str, int] = field(default_factory=dict)
    unlabelled: int = 0
    captions: int = 0
    parts: dict[str, int] = field(default_factory=dict)
    duplicates: int = 0
    findings: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    problem: str = ""

    @property
    def ready(self) -> bool:
        """Whether it can be trained on as it is."""
        return not self.problem

    @property
    def quarantine(self) -> list[str]:
        """Paths of what is left out, sorted."""
        return sorted({finding.path for finding in self.findings if not finding.kept})

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        own = {name: value for name, value in vars(self).items() if name != "findings"}
        found = [finding.as_dict() for finding in self.findings]
        return {**own, "findings": found, "quarantine": self.quarantine, "ready": self.ready}

    def text(self) -> str:
        """For a terminal."""
        lines = [f"{self.source}: {self.form or 'not readable'}"]
        if self.kind == "text":
            lines.append(f"  {self.n:,} {self.counted}")
        elif self.n:
            shapes = ", ".join(f"{shape} ({n:,})" for shape, n in list(self.shapes.items())[:4])
            more = f" and {len(self.shapes) - 4} more" if len(self.shapes) > 4 else ""
            lines.append(f"  {self.n:,} items: {shapes}{more}")
        if self.classes:
            names = ", ".join(f"{name} ({n:,})" for name, n in list(self.classes.items())[:10])
            lines.append(f"  {len(self.classes)} classes: {names}")
        if self.captions:
            lines.append(f"  {self.captions:,} captions")
        if self.parts:
            lines.append("  parts: " + ", ".join(f"{part} {n:,}" for part, n in self.parts.items()))
        lines += [f"  note: {note}" for note in self.notes]
        lines += self._finding_lines()
        lines.append(f"  not ready: {self.problem}" if self.problem else "  ready to train on")
        return "\n".join(map(printable, lines))

    def _finding_lines(self) -> list[str]:
        lines = []
        codes = Counter(finding.code for finding in self.findings)
        for code, count in codes.most_common():
            lines.append(f"  {code}: {count:,} ({CODES[code]})")
            found = [finding for finding in self.findings if finding.code == code]
            for finding in found[:_SHOWN]:
                fate = "kept" if finding.kept else "left out"
                lines.append(f"    {finding.path}: {finding.reason} [{fate}]")
            if count > _SHOWN:
                lines.append(f"    ... {count - _SHOWN:,} more")
        return lines


def check(
    source: str | os.PathLike[str],
    *,
    flip: bool = False,
    shift: int = 0,
    cutout: float = 0.0,
    transpose: int = 0,
    cache: str | os.PathLike[str] | None = None,
    **asked: Any,
) -> Report:
    """Read everything, by the code that training reads it with, and report.

    A text is packed too, where training will look for it: only then it is known whether it can be.

    Args:
        source: As for `open_dataset`, and so are the others.
        flip: Of pictures.
        shift: Of pictures.
        cutout: Of pictures.
        transpose: Of music.
        cache: For texts.
        asked: The other options of `open_dataset`.

    Raises:
        BadInput: There is nothing by that name.
    """
    options, augment = import_options(**asked), Augment(flip, shift, cutout)
    captions, tokenizer = asked.get("captions", False), asked.get("tokenizer")
    report = Report(str(source))
    is_name = str(source) in BUILTIN or str(source).startswith("hub:")
    try:
        ready = None
        if str(source).startswith("hub:"):
            ready, _ = hub_source(str(source).removeprefix("hub:"), options.wanted.texts)
        options = options if is_name or captions else usual(source, options)
        reader = reader_of(source, options, ready)
        report.form, report.kind, report.notes = reader.form, reader.kind, list(reader.notes)
        options.check(reader.kind)
        if reader.kind == "text":
            (_read_documents if reader.documents else _read_text)(report, reader, options)
            changes = {"flip": flip, "shift": shift, "cutout": cutout, "transpose": transpose}
            dataset = open_dataset(source, cache=cache, **changes, **asked)
            report.notes[:0] = doubts.doubts(dataset)
        else:
            items, lines = _read_items(report, reader, options)
            check_source(replace(items, given=asked.get("given", "none")))
            augmentation(items, report.source, augment, transpose)
            if captions:
                learn(lines)
            if captions and tokenizer:
                fitted(pieces_of(tokenizer), lines)
    except Damaged as damaged:
        report.findings.append(damaged.finding)
        report.problem = str(damaged)
    except DiskFull as error:
        report.problem = str(error)
    except BadInput as error:
        if not is_name and not Path(source).expanduser().exists():
            raise
        report.problem = str(error)
    return report


def _read_text(report: Report, reader: Source, options: ImportOptions) -> None:
    ids, alphabet = number(reader.text())
    report.n, report.counted = len(ids), "characters"
    report.notes.append(f"{len(alphabet)} distinct characters")
    train = cut(len(ids), options.valid, options.test)["train"]
    report.notes.append(f"{train.stop:,} of them to train on")


def _read_documents(report: Report, reader: Source, options: ImportOptions) -> None:
    seen = survey(reader)
    report.n, report.counted, report.findings = len(seen.names), seen.counted, seen.findings
    report.duplicates = sum(finding.code == "duplicate" for finding in seen.findings)
    report.notes.append(f"{len(seen.letters)} distinct {'words' if reader.words else 'characters'}")
    if seen.roles:
        report.notes.append(f"talks of {', '.join(sorted(seen.roles))}")


def _read_items(report: Report, reader: Source, options: ImportOptions) -> tuple[Items, list[str]]:
    """What one item is, and the captions of the training part."""
    survey, seen = Survey(), list[Entry]()
    digests, points = list[bytes](), list[np.ndarray]()
    try:
        for entry in survey.read(reader):
            if reader.kind == "points":
                points.append(entry.value)
            digests.append(digest(entry.value.tobytes()))
            seen.append(replace(entry, value=NOTHING))
    finally:
        report.findings, report.duplicates = survey.findings, survey.duplicates
    report.n, report.captions = survey.shapes.total(), survey.captions
    common = survey.shapes.most_common()
    report.shapes = {"x".join(map(str, shape)): n for shape, n in common}
    if reader.classes:
        report.classes = {name: survey.labels[i] for i, name in enumerate(reader.classes)}
        report.unlabelled = survey.labels[-1]
    if any(survey.parts):
        named = Counter({part or "train": n for part, n in survey.parts.items()})
        report.parts = dict(named)
    shape = shape_of(survey, report.source, options.size, options.channels)
    parts, _ = divided(seen, digests, report.source, options)
    items = [(part, entry) for part, entry in zip(parts, seen) if not entry.source]
    report.notes[:0] = doubts.unheld(sum(part == "valid" for part, _ in items))
    if points:
        report.notes[:0] = doubts.uneven(torch.from_numpy(np.stack(points)))
    said = [line for part, entry in items if part == "train" for line in lines_of(entry.caption)]
    return Items(reader.kind, shape), said
