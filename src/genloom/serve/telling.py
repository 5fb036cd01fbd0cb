"""How OpenAI's two routes for text tell what was written, whole or in chunks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, final
from uuid import uuid4

from genloom.decoding.writing import Score, Text, Writing


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
        scores: Scores as the field `logprobs`.
    """

    word: str
    whole: str
    chunk: str
    text: Callable[[str], dict[str, Any]]
    piece: Callable[[str], dict[str, Any]]
    first: dict[str, Any] | None
    scores: Callable[[Sequence[Score]], dict[str, Any]]


def _in_columns(scores: Sequence[Score]) -> dict[str, Any]:
    return {
        "tokens": [score.token for score in scores],
        "token_logprobs": [score.nats for score in scores],
        "top_logprobs": [dict(score.top) for score in scores],
        "text_offset": [score.start for score in scores],
    }


def _in_rows(scores: Sequence[Score]) -> dict[str, Any]:
    rows = [
        {**_row(score.token, score.nats), "top_logprobs": [_row(*one) for one in score.top]}
        for score in scores
    ]
    return {"content": rows, "refusal": None}


def _row(token: str, nats: float) -> dict[str, Any]:
    return {"token": token, "logprob": nats, "bytes": list(token.encode())}


COMPLETION = Form(
    "cmpl",
    "text_completion",
    "text_completion",
    lambda text: {"text": text},
    lambda piece: {"text": piece},
    None,
    _in_columns,
)
CHAT = Form(
    "chatcmpl",
    "chat.completion",
    "chat.completion.chunk",
    lambda text: {"message": {"role": "assistant", "content": text, "refusal": None}},
    lambda piece: {"delta": {"content": piece} if piece else {}},
    {"delta": {"role": "assistant", "content": ""}},
    _in_rows,
)


@final
@dataclass
class Progress:
    """What was told of a text.

    Args:
        before: What it begins with.
        read: Scores of that.
        begun: Whether that was told.
        shown: Characters of the text that were told.
        scores: Of the text, those that were told.
    """

    before: str
    read: Sequence[Score] = ()
    begun: bool = False
    shown: int = 0
    scores: int = 0

    def next(self, text: Text, size: int, *, rest: bool) -> tuple[Sequence[Score], Sequence[Score]]:
        """Take it that so many characters more are told, or that the text has ended.

        Returns:
            The scores of the beginning if it is new, and the new ones, placed after it.
        """
        given = () if self.begun or text.reason == "content_filter" else self.read
        self.begun, self.shown, first = True, self.shown + size, self.scores
        for score in text.scores[first : text.count]:
            if not rest and score.start + len(score.token) > self.shown:
                break  # half a letter, or a piece whose rest may become a stop
            self.scores += 1
        start = len(self.before)
        told = [replace(one, start=start + one.start) for one in text.scores[first : self.scores]]
        return given, told


@final
class Told:
    """The answer of one request, whole or in chunks.

    Args:
        form: Of the route.
        model: Its name.
        given: Tokens of the prompts.
        writings: The texts, those of one prompt after those of another.
        with_usage: A last chunk tells the usage.
        with_scores: Tell what the model thought of each token.
        before: What the texts of each writing begin with; nothing where it is left out.
    """

    def __init__(
        self,
        form: Form,
        model: str,
        given: int,
        *writings: Writing,
        with_usage: bool,
        with_scores: bool,
        before: Sequence[str] = (),
    ):
        self.form, self.given, self.writings = form, given, writings
        self.with_usage, self.with_scores = with_usage, with_scores
        openings = zip(writings, before or [""] * len(writings), strict=True)
        self.progress = [Progress(said) for writing, said in openings for _ in writing.texts]
        self.common = {
            "id": f"{form.word}-{uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }

    def read(self, first: int, scores: Sequence[Sequence[Score]]) -> None:
        """Take the scores of what the texts from `first` on begin with."""
        for k, own in enumerate(scores):
            self.progress[first + k].read = own

    def whole(self) -> dict[str, Any]:
        """All texts."""
        choices = [
            self._choice(i, self.form.text, text.text, text.reason or "length")
            for i, text in enumerate(self._texts())
        ]
        usage = self._usage()
        return {**self.common, "object": self.form.whole, "choices": choices, "usage": usage}

    def opening(self) -> list[dict[str, Any]]:
        """Chunks before the first piece."""
        if self.form.first is None:
            return []
        none = {"logprobs": None, "finish_reason": None}
        return [
            self._chunk({"index": i, **self.form.first, **none}) for i in range(len(self.progress))
        ]

    def piece(self, i: int, piece: str) -> dict[str, Any]:
        """A chunk with the next piece of text i."""
        return self._chunk(self._choice(i, self.form.piece, piece))

    def closing(self) -> list[dict[str, Any]]:
        """Chunks after the last piece: why each text ended, and the usage if asked for."""
        ends = [
            self._chunk(self._choice(i, self.form.piece, "", text.reason or "length"))
            for i, text in enumerate(self._texts())
        ]
        if self.with_usage:
            usage = {"object": self.form.chunk, "choices": [], "usage": self._usage()}
            ends.append({**self.common, **usage})
        return ends

    def _texts(self) -> list[Text]:
        return [text for writing in self.writings for text in writing.texts]

    def _choice(
        self,
        i: int,
        told: Callable[[str], dict[str, Any]],
        piece: str,
        reason: str | None = None,
    ) -> dict[str, Any]:
        """More of a text, after what it begins with, or with a reason its rest."""
        text, progress = self._texts()[i], self.progress[i]
        before = "" if progress.begun or reason == "content_filter" else progress.before
        given, scores = progress.next(text, len(piece), rest=reason is not None)
        found, whole = None, told is self.form.text
        if self.with_scores and (whole or piece or before or scores):
            found = self.form.scores([*given, *scores])
            if given:  # as OpenAI has it, there is nothing to say of the first token
                found["token_logprobs"][0] = found["top_logprobs"][0] = None
        return {"index": i, **told(before + piece), "logprobs": found, "finish_reason": reason}

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        return {**self.common, "object": self.form.chunk, "choices": [choice]}

    def _usage(self) -> dict[str, int]:
        given, made = self.given, sum(text.count for text in self._texts())
        return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
