"""How OpenAI's two routes for text tell what was written, whole or in chunks."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any, final
from uuid import uuid4

from genloom.serve.writing import Score, Writing


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
        scores: Scores of characters as the field `logprobs`; and where the first of them lies.
    """

    word: str
    whole: str
    chunk: str
    text: Callable[[str], dict[str, Any]]
    piece: Callable[[str], dict[str, Any]]
    first: dict[str, Any] | None
    scores: Callable[[Sequence[Score], int], dict[str, Any]]


def _in_columns(scores: Sequence[Score], start: int) -> dict[str, Any]:
    return {
        "tokens": [score.token for score in scores],
        "token_logprobs": [score.nats for score in scores],
        "top_logprobs": [dict(score.top) for score in scores],
        "text_offset": [start + i for i in range(len(scores))],
    }


def _in_rows(scores: Sequence[Score], start: int) -> dict[str, Any]:
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
class Told:
    """The answer of one request, whole or in chunks.

    Args:
        form: Of the route.
        model: Its name.
        given: Tokens of the prompt.
        writing: The texts.
        with_usage: A last chunk tells the usage.
        with_scores: Tell what the model thought of each token.
    """

    def __init__(
        self,
        form: Form,
        model: str,
        given: int,
        writing: Writing,
        *,
        with_usage: bool,
        with_scores: bool,
    ):
        self.form, self.given, self.writing = form, given, writing
        self.with_usage, self.with_scores = with_usage, with_scores
        self.shown = [0] * len(writing.texts)  # characters that are in chunks already
        self.common = {
            "id": f"{form.word}-{uuid4().hex}",
            "created": int(time.time()),
            "model": model,
        }

    def whole(self, before: str) -> dict[str, Any]:
        """All texts, each after `before`."""
        choices = []
        for i, text in enumerate(self.writing.texts):
            scores = self._scores(i, 0, len(text.text), len(before))
            said = self.form.text(before + text.text if text.reason != "content_filter" else "")
            choices.append(self._choice(i, said, text.reason or "length", scores))
        usage = self._usage()
        return {**self.common, "object": self.form.whole, "choices": choices, "usage": usage}

    def opening(self) -> list[dict[str, Any]]:
        """Chunks before the first piece."""
        if self.form.first is None:
            return []
        return [self._chunk(self._choice(i, self.form.first)) for i in range(len(self.shown))]

    def piece(self, i: int, piece: str) -> dict[str, Any]:
        """A chunk with the next piece of text i."""
        start, self.shown[i] = self.shown[i], self.shown[i] + len(piece)
        scores = self._scores(i, start, self.shown[i], 0)
        return self._chunk(self._choice(i, self.form.piece(piece), None, scores))

    def closing(self) -> list[dict[str, Any]]:
        """Chunks after the last piece: why each text ended, and the usage if asked for."""
        ends = [
            self._chunk(self._choice(i, self.form.piece(""), text.reason or "length"))
            for i, text in enumerate(self.writing.texts)
        ]
        if self.with_usage:
            usage = {"object": self.form.chunk, "choices": [], "usage": self._usage()}
            ends.append({**self.common, **usage})
        return ends

    def _scores(self, i: int, start: int, stop: int, before: int) -> dict[str, Any] | None:
        if not self.with_scores:
            return None
        return self.form.scores(self.writing.texts[i].scores[start:stop], before + start)

    def _chunk(self, choice: dict[str, Any]) -> dict[str, Any]:
        return {**self.common, "object": self.form.chunk, "choices": [choice]}

    def _choice(
        self,
        i: int,
        told: dict[str, Any],
        reason: str | None = None,
        scores: dict[str, Any] | None = None,
    ) -> dict[str, Any]:
        return {"index": i, **told, "logprobs": scores, "finish_reason": reason}

    def _usage(self) -> dict[str, int]:
        given, made = self.given, sum(text.count for text in self.writing.texts)
        return {"prompt_tokens": given, "completion_tokens": made, "total_tokens": given + made}
