"""Text as tokens: letters, bytes, pieces of words, or words that stand for music or molecules."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import ClassVar, final

from torch import Tensor

from genloom.codecs.files import each, write_beside
from genloom.core import Codec, Items, Tokens
from genloom.lexicon import Lexicon
from genloom.molecules.chemistry import to_smi, told
from genloom.molecules.depiction import to_sheet, to_svg
from genloom.music.files import to_midi, to_rolls, to_wav

# Medium -> ending -> what makes a file of a text and its lexicon; every text is a .txt too.
FILES: dict[str, dict[str, Callable[[str, Lexicon | None], bytes]]] = {
    "text": {".txt": lambda text, _: text.encode()},
    "music": {".mid": lambda text, _: to_midi(text), ".wav": lambda text, _: to_wav(text)},
    "molecule": {".smi": to_smi, ".svg": to_svg},
}
# Medium -> ending and maker of one file that shows many texts.
SHEETS: dict[str, tuple[str, Callable[[Sequence[str], Lexicon | None], bytes]]] = {
    "music": (".png", lambda texts, _: to_rolls(texts)),
    "molecule": (".svg", to_sheet),
}
# Medium -> what else is to be said of a text.
NOTES: dict[str, Callable[[str, Lexicon | None], Mapping]] = {"molecule": told}


def noted(items: Items, text: str) -> Mapping:
    """What is to be said of a text beside it: of a molecule, whether it is one, and which."""
    note = NOTES.get(items.medium)
    return note(text, items.lexicon) if note else {}


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
        roles = tuple(tuple(words.opening(name)) for name in words.roles)
        self.space = Tokens(items.shape, words.vocab, words.end, roles, bool(words.closing))

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
        """UTF-8 files, or those of their medium; metadata beside them, as .txt.json."""
        makers, words = FILES["text"] | FILES[self.items.medium], self.items.lexicon

        def write(item: Tensor, path: Path, told: Mapping) -> None:
            text = self.items.read(item)
            path.write_bytes(makers[path.suffix.lower()](text, words))
            write_beside(path, {**noted(self.items, text), **told})

        each(items, paths, metadata, tuple(makers), write)
