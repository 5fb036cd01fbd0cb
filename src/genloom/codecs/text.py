"""Text as tokens, one for each character."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

from torch import Tensor

from genloom.codecs.files import each, write_beside
from genloom.core import Codec, Items, Tokens


@final
class Text(Codec):
    """Ids (L,) <-> Tokens((L,), V); id i is the i-th character of the alphabet."""

    kinds: ClassVar[tuple[str, ...]] = ("text",)
    space: Tokens
    suffix: ClassVar[str] = ".txt"

    def __init__(self, items: Items):
        super().__init__(items)
        self.space = Tokens(items.shape, len(items.alphabet))

    def encode(self, items: Tensor) -> Tensor:
        """(B, L) integers -> int64."""
        return items.long()

    def decode(self, x: Tensor) -> Tensor:
        """(B, L) integers -> int64; ids out of range are clipped."""
        return x.long().clamp(0, self.space.vocab - 1)

    def read(self, items: Tensor) -> list[str]:
        """(B, L) ids -> B strings."""
        alphabet = self.items.alphabet
        return ["".join(alphabet[i] for i in row) for row in items.tolist()]

    def write(self, items: Tensor, paths: Sequence[Path], metadata: Sequence[Mapping]) -> None:
        """UTF-8 files, metadata beside them as .txt.json."""

        def write(item: Tensor, path: Path, told: Mapping) -> None:
            path.write_text(self.read(item[None])[0], "utf-8", newline="\n")
            write_beside(path, told)

        each(items, paths, metadata, (".txt",), write)
