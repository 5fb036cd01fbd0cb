"""Texts as they grow, cut at a stop or at their length; and how OpenAI's two routes tell them."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, final
from uuid import uuid4


@final
@dataclass
class Writing:
    """The texts of one request, as they grow, cut at a stop or at the length.

    Args:
        alphabet: Of the model.
        n: How many.
        most: Tokens of each.
        stops: Strings that end a text; they are not part of it.
    """

    alphabet: str
    n: int
    most: int
    stops: tuple[str, ...]
    texts: list[str] = field(default_factory=list)
    sent: list[int] = field(default_factory=list)
    counts: list[int] = field(default_factory=list)
    reasons: list[str | None] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.texts, self.sent, self.counts = [""] * self.n, [0] * self.n, [0] * self.n
        self.reasons = [None] * self.n

    def add(self, rows: list[list[int]]) -> list[tuple[int, str]]:
        """Take new tokens; (index, what may be shown of it) for each text that moved."""
        shown: list[tuple[int, str]] = []
        for i, row in enumerate(rows):
            for token in row:
                if self.reasons[i] is None:
                    self._one(i, self.alphabet[token])
            piece = self._ready(i)
            if piece:
                shown.append((i, piece))
        return shown

    def _one(self, i: int, letter: str) -> None:
        self.texts[i] += letter
        self.counts[i] += 1
        for stop in self.stops:
            if self.texts[i].endswith(stop):
                self.texts[i] = self.texts[i][: -len(stop)]
                self.reasons[i] = "stop"
                return
        if self.counts[i] >= self.most:
            self.reasons[i] = "length"

    def _ready(self, i: int) -> str:
        """What was not shown yet, without an ending that may become a stop."""
        text, held = self.texts[i], 0
        if self.reasons[i] is None:
            for stop in self.stops:
                for size in range(min(len(stop) - 1, len(text)), 0, -1):
                    if text.endswith(stop[:size]):
                        held = max(held, size)
                        break
        piece = text[self.sent[i] : len(text) - held]
        self.sent[i] += len(piece)
        return piece

    @property
    def done(self) -> bool:
        """Whether nothing more is needed of the model."""
        return all(self.reasons)


@final
@dataclass(frozen=True)
class Form:
    """What differs between the two routes.

    Args:
        word: Ids begin with it.
        whole: Name of the object that holds whole texts.
        chunk: Name of the object that holds a piece.
        text: A text as the field of a choice.
        piece: A piece of one.
        first: What a stream begins with for each text, or None.
    """

    word: str
    whole: str
    chunk: str
    text: Callable[[str], dict[str, Any]]
    piece: Callable[[str], dict[str, Any]]
    first: dict[str, Any] | None


COMPLETION = Form(
    "cmpl",
    "text_completion",
    "text_completion",
    lambda text: {"text": text},
    lambda piece: {"text": piece},
    None,
)
CHAT = Form(
    "chatcmpl",
    "chat.completion",
    "chat.completion.chunk",
    lambda text: {"message": {"role": "assistant", "content": text, "refusal": None}},
    lambda piece: {"delta": {"content": piece} if piece else {}},
    {"delta": {"role": "assistant", "content": ""}},
)


@final
class Told:
    """The answer of one request, whole or in chunks.

    Args:
        form: Of the route.
        model: Its name.
        given: Tokens of the prompt.
        writing: The texts.
        with_usage: A last chunk tells the usage.
    """

    def __init__(self, form: Form, model: str, given: int, writing: Writing, *, with_usage: bool):
        self.form, self.given, self.writing, self.with_usage = form, given, writing, with_usage
        self.common = {
            "id": f"{form.word}-{uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }

    def whole(self, before: str) -> dict[str, Any]:
        """All texts, each after `before`."""
        choices = [
            self._choice(i, self.form.text(before + text), self.writing.reasons[i] or "length")
            for i, text in enumerate(self.writing.texts)
        ]
        usage = self._usage()
        return {**self.common, "object": self.form.whole, "choices": choices, "usage": usage}

    def opening(self) -> list[dict[str, Any]]:
        """Chunks before the first piece."""
        if self.form.first is None:
            return []
        return [self._chunk(self._choice(i, self.form.first)) for i in range(self.writing.n)]

    def piece(self, i: int, piece: str) -> dict[str, Any]:
        """A chunk with a piece of text i."""
        return self._chunk(self._choice(i, self.form.piece(piece)))

    def closing(self) -> list[dict[str, Any]]:
        """Chunks after the last piece: why each text ended, and the usage if asked for."""
        ends = [
            self._chunk(self._choice(i, self.form.piece(""), reason or "length"))
            for i, reason in enumerate(self.writing.reasons)
        ]
        if self.with_usage:
            usage = {"object": self.form.chunk, "choices": [], "usage": self._usage()}
            ends.append({**self.common, **usage})
        return ends

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        return {**self.common, "object": self.form.chunk, "choices": [choice]}

    def _choice(self, i: int, told: dict[str, Any], reason: str | None = None) -> dict[str, Any]:
        return {"index": i, **told, "logprobs": None, "finish_reason": reason}

    def _usage(self) -> dict[str, int]:
        given, made = self.given, sum(self.writing.counts)
        return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
