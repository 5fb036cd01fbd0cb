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
    header = ",".join(f"x{i}" for i in range(len(values)))
    path.write_text(f"{header}\n{','.join(map(repr, values))}\n", "utf-8")
    write_beside(path, metadata)
