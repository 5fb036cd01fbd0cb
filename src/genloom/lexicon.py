"""Texts as numbers: letters of an alphabet, bytes, or the pieces of a tokenizer.

The last numbers are marks, which no text holds: roles that open a part of a document, and its end.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any, final

from genloom.errors import BadInput, need

HOLE = "\ufffd"  # stands for bytes that are no text, or not yet
END = "end"
ROLES = ("system", "user", "assistant")
ASKED = "assistant"  # the role whose words are learned where there are roles
Turns = Sequence[tuple[str, str]]
"""A document: (role, text), with "" as the role of plain text."""


def is_text(text: str) -> bool:
    """Whether it can be written in UTF-8: it holds no half of a UTF-16 pair, a surrogate."""
    return not any("\ud800" <= letter <= "\udfff" for letter in text)


@dataclass(frozen=True)
class Lexicon(ABC):
    """How documents become numbers in [0, vocab), and numbers texts.

    Args:
        marks: Names of the marks.
    """

    marks: tuple[str, ...] = field(default=(), kw_only=True)

    @property
    def vocab(self) -> int:
        """All numbers; those of the marks are the last ones, in their order."""
        return self.letters + len(self.marks)

    @property
    def medium(self) -> str:
        """What the texts stand for: "text", "music" or "molecule"."""
        return "text"

    @property
    @abstractmethod
    def letters(self) -> int:
        """The numbers that are no marks."""

    @abstractmethod
    def encode(self, text: str) -> list[int]:
        """Numbers of a text, without marks.

        Raises:
            BadInput: It has what the lexicon has not.
        """

    def known(self, text: str) -> str:
        """A text without what the lexicon has not."""
        return text

    @abstractmethod
    def _text(self, ids: list[int]) -> str:
        """The text of numbers that are no marks."""

    def mark(self, name: str) -> int:
        """The number of a mark; -1 where there is none."""
        return self.letters + self.marks.index(name) if name in self.marks else -1

    @property
    def end(self) -> int | None:
        """The number of the mark that closes a document; None where there is none."""
        return self.mark(END) if END in self.marks else None

    @property
    def roles(self) -> tuple[str, ...]:
        """Those that parts of a document may have, where it is a talk."""
        return tuple(name for name in ROLES if name in self.marks)

    def opening(self, role: str) -> list[int]:
        """The numbers that open a part of one of the `roles`."""
        return [self.mark(role)]

    @property
    def closing(self) -> list[int]:
        """The numbers that close a part; empty: the next opening, or the end, does."""
        return []

    @property
    def stops(self) -> tuple[tuple[int, ...], tuple[str, ...]]:
        """What an answer does not hold, and so ends it: numbers, and texts."""
        return tuple(range(self.letters, self.vocab)), ()

    def document(self, turns: Turns) -> list[int]:
        """Numbers of a document, which an end closes where there is one."""
        found = []
        for role, text in turns:
            said = self.encode(text)
            found += [*self.opening(role), *said, *self.closing] if role else said
        return found if self.end is None else [*found, self.end]

    def decode(self, ids: Iterable[int]) -> str:
        """The text of numbers as far as the first end, roles in brackets."""
        said, run, first, end = [], list[int](), self.letters, self.mark(END)
        for i in ids:
            if i == end:
                break
            if i < first:
                run.append(i)
                continue
            said += [self._text(run), f"[{self.marks[i - first]}] "]
            run = []
        return "".join([*said, self._text(run)])


@final
@dataclass(frozen=True)
class Letters(Lexicon):
    """One number for each character.

    Args:
        alphabet: Number i is its i-th character.
        marks: See `Lexicon`.
    """

    alphabet: str

    @property
    def letters(self) -> int:
        """See `Lexicon`."""
        return len(self.alphabet)

    @cached_property
    def _numbers(self) -> dict[str, int]:
        return {letter: i for i, letter in enumerate(self.alphabet)}

    def encode(self, text: str) -> list[int]:
        """See `Lexicon`."""
        try:
            return [self._numbers[letter] for letter in text]
        except KeyError as error:
            message = f"the model was trained without the character {error.args[0]!r}."
            raise BadInput(message) from None

    def known(self, text: str) -> str:
        """See `Lexicon`."""
        return "".join(letter for letter in text if letter in self._numbers)

    def _text(self, ids: list[int]) -> str:
        return "".join(self.alphabet[i] for i in ids)


@final
@dataclass(frozen=True)
class Bytes(Lexicon):
    """One number for each byte of UTF-8: any text. What is no UTF-8 is read as U+FFFD."""

    @property
    def letters(self) -> int:
        """See `Lexicon`."""
        return 256

    def encode(self, text: str) -> list[int]:
        """See `Lexicon`."""
        return list(text.encode())

    def _text(self, ids: list[int]) -> str:
        return bytes(ids).decode(errors="replace")


@final
@dataclass(frozen=True)
class Pieces(Lexicon):
    """The pieces of a tokenizer in the form of `tokenizers`, which is data alone, no code.

    Args:
        rules: Its tokenizer.json, the text of the file.
        marks: See `Lexicon`.
    """

    rules: str = field(repr=False)

    @cached_property
    def _tokenizer(self) -> Any:
        return tokenizer_of(self.rules)

    @cached_property
    def letters(self) -> int:
        """See `Lexicon`."""
        return self._tokenizer.get_vocab_size()

    def encode(self, text: str) -> list[int]:
        """See `Lexicon`."""
        return self._tokenizer.encode(text, add_special_tokens=False).ids

    def _text(self, ids: list[int]) -> str:
        return self._tokenizer.decode(ids, skip_special_tokens=False)


def tokenizer_of(rules: str) -> Any:
    """The tokenizer of `tokenizers` that the text of a tokenizer.json describes.

    Raises:
        BadInput: It describes none.
        MissingExtra: tokenizers is not installed.
    """
    try:
        from tokenizers import Tokenizer  # pyright: ignore
    except ImportError as error:
        raise need("tokenizers", "text", "Reading text by pieces") from error
    try:
        return Tokenizer.from_str(rules)
    except Exception as error:  # it raises nothing narrower
        raise BadInput(f"tokenizer.json cannot be used: {error}.") from error


def kinds() -> dict[str, Any]:
    """Name -> lexicon."""
    from genloom.prompts import Native  # which are lexicons
    from genloom.words import Words

    plain = {"letters": Letters, "bytes": Bytes, "pieces": Pieces}
    return {**plain, "words": Words, "native": Native}


def told_of(lexicon: Lexicon) -> dict[str, Any]:
    """A lexicon for JSON."""
    told: dict[str, Any] = asdict(lexicon)  # pyright: ignore[reportArgumentType]
    name = next(name for name, kind in kinds().items() if isinstance(lexicon, kind))
    return {"use": name, **told}


def lexicon_of(told: Mapping[str, Any]) -> Lexicon:
    """The lexicon that `told_of` told of.

    Raises:
        KeyError: It tells of none.
        TypeError: It has other fields.
    """
    listed = ("marks", "words")
    fields = {name: tuple(v) if name in listed else v for name, v in told.items() if name != "use"}
    return kinds()[told["use"]](**fields)


def learn_pieces(texts: Iterable[str], vocab: int) -> str:
    """Byte pair encoding of bytes, learnt from texts: Sennrich et al., 2016 (arXiv:1508.07909).

    Args:
        texts: Of the training part.
        vocab: Pieces; the 256 bytes are among them.

    Returns:
        A tokenizer.json.
    """
    try:
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
    except ImportError as error:
        raise need("tokenizers", "text", "Learning a tokenizer") from error
    made: Any = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    made.train_from_iterator(texts, trainer)
    return made.to_str()
