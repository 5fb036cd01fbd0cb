"""Text as tokens: letters, bytes or pieces of words."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

from torch import Tensor

from genloom.codecs.files import each, write_beside
from genloom.core import Codec, Items, Tokens
from genloom.lexicon import ROLES


@final
class Text(Codec):
    """Ids (L,) <-> Tokens((L,), V), both of the items' lexicon."""

    kinds: ClassVar[tuple[str, ...]] = ("text",)
    space: Tokens
    suffix: ClassVar[str] = ".txt"

    def __init__(self, items: Items):
        super().__init__(items)
        assert items.lexicon is not None
        words = items.lexicon
        roles = tuple(words.mark(name) for name in ROLES if name in words.marks)
        self.space = Tokens(items.shape, words.vocab, words.end, roles)

    def encode(self, items: Tensor) -> Tensor:
        """(B, L) integers -> int64."""
        return items.long()

    def decode(self, x: Tensor) -> Tensor:
        """(B, L) integers -> int64; ids out of range are clipped."""
        return x.long().clamp(0, self.space.vocab - 1)

    def read(self, items: Tensor) -> list[str]:
        """(B, L) ids -> B strings."""
        return [self.items.read(row) for row in items]

    def write(self, items: Tensor, paths: Sequence[Path], metadata: Sequence[Mapping]) -> None:
        """UTF-8 files, metadata beside them as .txt.json."""

        def write(item: Tensor, path: Path, told: Mapping) -> None:
            path.write_text(self.read(item[None])[0], "utf-8", newline="\n")
            write_beside(path, told)

        each(items, paths, metadata, (".txt",), write)
