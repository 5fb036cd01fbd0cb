"""Points in the plane, or in a few dimensions, as they are."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

import torch
from torch import Tensor

from genloom.codecs.files import each, write_beside
from genloom.core import Codec, Items, Real
from genloom.errors import Diverged


@final
class Points(Codec):
    """float32 (D,) <-> Real((D,)), unchanged."""

    kinds: ClassVar[tuple[str, ...]] = ("points",)
    suffix: ClassVar[str] = ".csv"

    def __init__(self, items: Items):
        super().__init__(items)
        self.space = Real(items.shape)

    def encode(self, items: Tensor) -> Tensor:
        """(B, D) -> (B, D) float32."""
        return items.to(torch.float32)

    def decode(self, x: Tensor) -> Tensor:
        """(B, D) -> (B, D) float32.

        Raises:
            Diverged: A value is NaN or infinite.
        """
        if not x.isfinite().all():
            raise Diverged(f"{int((~x.isfinite()).sum())} of {x.numel()} values are not finite.")
        return x.to(torch.float32)

    def write(self, items: Tensor, paths: Sequence[Path], metadata: Sequence[Mapping]) -> None:
        """.csv (metadata beside it as .csv.json) or .json (metadata inside)."""
        each(items, paths, metadata, (".csv", ".json"), _write)


def _write(item: Tensor, path: Path, metadata: Mapping) -> None:
    values = item.tolist()
    if path.suffix.lower() == ".json":
        path.write_text(json.dumps({"values": values, "metadata": dict(metadata)}), "utf-8")
        return
    path.write_text(table(item[None]), "utf-8")
    write_beside(path, metadata)


def table(items: Tensor, told: Mapping[str, Sequence[object]] | None = None) -> str:
    """Points (B, D) as the text of a CSV file: columns of what is told, then x0, x1 and so on.

    Args:
        items: The points.
        told: Name of a column -> B values without commas, such as the seeds.
    """
    told = told or {}
    names = [*told, *(f"x{i}" for i in range(items.shape[1]))]
    rows = ([*(column[i] for column in told.values()), *x.tolist()] for i, x in enumerate(items))
    return "".join(",".join(map(str, row)) + "\n" for row in (names, *rows))
