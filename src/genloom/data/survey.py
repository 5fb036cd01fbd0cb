"""Read a source to its end, count what is in it, and find what is twice."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from genloom.data.findings import Finding
from genloom.data.source import Entry, Source
from genloom.data.split import digest
from genloom.errors import BadInput


@dataclass
class Survey:
    """What was seen so far.

    Args:
        shapes: How many items have which shape.
        labels: How many items have which label; -1 counts those without.
        parts: How many items lie in which part.
        captions: How many items have one.
        findings: One for each thing worth knowing.
    """

    shapes: Counter[tuple[int, ...]] = field(default_factory=Counter)
    labels: Counter[int] = field(default_factory=Counter)
    parts: Counter[str] = field(default_factory=Counter)
    captions: int = 0
    findings: list[Finding] = field(default_factory=list)

    def read(self, source: Source) -> Iterator[Entry]:
        """Pass the entries on, taking notes."""
        first: dict[bytes, str] = {}
        for entry in source.entries(self.findings):
            content = digest(repr(entry.value.shape).encode() + entry.value.tobytes())
            if content in first:
                reason = f"equals {first[content]}"
                self.findings.append(Finding(entry.name, "duplicate", reason, kept=True))
            first.setdefault(content, entry.name)
            self.shapes[entry.value.shape] += 1
            self.labels[entry.label] += 1
            self.parts[entry.part] += 1
            self.captions += bool(entry.caption)
            yield entry

    @property
    def duplicates(self) -> int:
        """Items that repeat an earlier one."""
        return sum(finding.code == "duplicate" for finding in self.findings)


def shape_of(survey: Survey, name: str, size: int | None, channels: int | None) -> tuple[int, ...]:
    """The one shape that all items are to have.

    Raises:
        BadInput: There are no items, or of several sizes and none was asked for.
    """
    if not survey.shapes:
        first = survey.findings[0] if survey.findings else None
        why = f" The first finding: {first.path}: {first.reason}." if first else ""
        count = len(survey.findings)
        raise BadInput(f"{name} holds no item that can be used ({count} findings).{why}")
    if len(next(iter(survey.shapes))) == 1:
        if len(survey.shapes) > 1:
            raise BadInput(f"{name} holds points of {len(survey.shapes)} numbers of dimensions.")
        return next(iter(survey.shapes))
    c = channels or max(shape[0] for shape in survey.shapes)
    sizes = Counter[tuple[int, ...]]()
    for shape, count in survey.shapes.items():
        sizes[shape[1:]] += count
    if size is not None:
        return (c, size, size)
    if len(sizes) > 1:
        common = [f"{w}x{h}" for (h, w), _ in sizes.most_common(3)]
        more = ", ..." if len(sizes) > 3 else ""
        raise BadInput(
            f"{name} holds images of {len(sizes)} sizes ({', '.join(common)}{more}). "
            "One is needed: set size, for example size = 32, to resize and crop them."
        )
    return (c, *next(iter(sizes)))
