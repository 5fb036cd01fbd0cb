"""Texts of closed words: the atoms of a molecule, the events of a score.

A form says how a text is divided into its words, and what it stands for.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cached_property
from typing import NamedTuple, final

from genloom.errors import BadInput
from genloom.lexicon import Lexicon


class Form(NamedTuple):
    """How a text of closed words is written.

    Args:
        word: What one word looks like; between two of them there is `between` alone.
        between: What parts them.
        medium: What the text stands for.
    """

    word: re.Pattern[str]
    between: str
    medium: str


FORMS: dict[str, Form] = {
    "smiles": Form(re.compile(r"\[[^]]*\]|Br|Cl|%\d\d|."), "", "molecule"),
    "selfies": Form(re.compile(r"\[[^]]*\]|\."), "", "molecule"),
    "events": Form(re.compile(r"\S+"), " ", "music"),
}


@final
@dataclass(frozen=True)
class Words(Lexicon):
    """One number for each word of a closed list: an atom, an event of a score.

    Args:
        words: Number i is the i-th word.
        form: How texts are written, a name in `FORMS`.
        marks: See `Lexicon`.
    """

    words: tuple[str, ...]
    form: str

    @property
    def medium(self) -> str:
        """See `Lexicon`."""
        return FORMS[self.form].medium

    @property
    def letters(self) -> int:
        """See `Lexicon`."""
        return len(self.words)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {word: i for i, word in enumerate(self.words)}

    def encode(self, text: str) -> list[int]:
        """See `Lexicon`."""
        try:
            return [self._numbers[word] for word in words_of(text, self.form)]
        except KeyError as error:
            raise BadInput(f"the model was trained without {error.args[0]!r}.") from None

    def known(self, text: str) -> str:
        """See `Lexicon`."""
        found = FORMS[self.form].word.findall(text)
        return FORMS[self.form].between.join(word for word in found if word in self._numbers)

    def _text(self, ids: list[int]) -> str:
        return FORMS[self.form].between.join(self.words[i] for i in ids)


def words_of(text: str, form: str) -> list[str]:
    """The words of a text; white space between them counts for nothing.

    Raises:
        BadInput: It holds something else.
    """
    found = FORMS[form].word.findall(text)
    if "".join(found) != "".join(text.split()):
        raise BadInput(f"{text[:60]!r} is not written as {form} are.")
    return found
