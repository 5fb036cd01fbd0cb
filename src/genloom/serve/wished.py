"""What OpenAI's two routes for text are asked: their bodies, and what is to be written, checked."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal

from pydantic import BaseModel, Field, model_validator

from genloom.decoding.forms import FORM, VALID
from genloom.decoding.writing import Writing
from genloom.lexicon import ASKED, ROLES
from genloom.serve.asked import Asked
from genloom.serve.known import Known
from genloom.serve.making import seeds_of
from genloom.serve.problems import Problem
from genloom.serve.prompts import prompt_of, room_after
from genloom.serve.settings import Limits

TOP = 5  # of the likeliest tokens that can be told
REFUSED = {
    "suffix": "texts go on, and nothing is written between a prompt and a suffix",
    "tools": "no model here calls tools",
    "functions": "no model here calls functions",
}
"""Fields that would change an answer if they were carried out, and why they are not."""
ACCEPTED = ("user", "store", "metadata", "parallel_tool_calls", *REFUSED)


# One wrong element is enough: a list of millions of them would be millions of complaints.
Strings = Annotated[list[str], Field(fail_fast=True)]
Tokens = Annotated[list[int], Field(fail_fast=True)]
Nats = Annotated[float, Field(ge=-100, le=100)]


class Common(BaseModel, extra="allow"):
    """What both routes take."""

    model: str | None = None
    n: int = 1
    best_of: int | None = None
    seed: int | None = None
    max_tokens: int | None = None
    truncation: Literal["auto", "disabled"] | None = None
    stop: str | Strings | None = None
    logit_bias: Annotated[dict[int, Nats], Field(max_length=300)] | None = None
    response_format: dict[str, Any] | None = None
    regex: str | None = None
    stream: bool = False
    stream_options: dict[str, Any] | None = None

    @model_validator(mode="before")
    @classmethod
    def _without_nulls(cls, body: Any) -> Any:
        """A field that is null is left out, as OpenAI has it."""
        if not isinstance(body, dict):
            return body
        return {name: value for name, value in body.items() if value is not None}

    def check(self) -> None:
        """Refuse what would change the answer and is not carried out.

        Raises:
            Problem: It is asked for; a field that asks for nothing, such as `tools: []`, is none.
        """
        for name, why in REFUSED.items():
            if (self.model_extra or {}).get(name):
                raise Problem(
                    400, f"{name}: {why}. Leave it out.", param=name, code="unsupported_parameter"
                )
        if self.best_of not in (None, self.n):
            why = f"best_of = {self.best_of}: texts are not ranked. Leave it out, and ask for n"
            raise Problem(400, f"{why}.", param="best_of", code="unsupported_parameter")


class Completion(Common):
    """`POST /v1/completions`."""

    prompt: str | Strings | Tokens | Annotated[list[Tokens], Field(fail_fast=True)] = ""
    echo: bool = False
    logprobs: int | None = Field(None, ge=0, le=TOP)


class Message(BaseModel, extra="allow"):
    """One of a conversation."""

    role: str
    content: str | list[dict[str, Any]] | None = None


class Chat(Common):
    """`POST /v1/chat/completions`."""

    messages: Annotated[list[Message], Field(fail_fast=True)]
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = Field(None, ge=0, le=TOP)


@dataclass(frozen=True, kw_only=True)
class Wish:
    """What is to be written.

    Args:
        told: The prompt as text.
        prompt: What the model goes on from.
        param: The field that holds it.
        starts: Places in it where its messages begin, if a model knows them.
        most: Tokens to draw, if that was said.
        named: The field that says so.
        usual: Else so many, or as many as there is room for.
        logprobs: See `Asked.logprobs`.
        echo: Whether a text begins with the prompt.
        ends: Tokens that end a text, besides its stops.
        stops: Texts that do, besides those that were asked for.
    """

    told: str
    prompt: tuple[int, ...]
    param: str
    starts: tuple[int, ...] = ()
    most: int | None
    named: str = "max_tokens"
    usual: int
    logprobs: int | None
    echo: bool = False
    ends: tuple[int, ...] = ()
    stops: tuple[str, ...] = ()


def completions(body: Completion, known: Known, limits: Limits) -> list[Wish]:
    """One for each prompt.

    Raises:
        Problem: Something does not fit; so below.
    """
    body.check()
    prompts = _prompts(body.prompt)
    n = len(seeds_of(body.seed, body.n, limits))  # refused before anything is read
    if len(prompts) * n > limits.samples:
        most = f"{len(prompts)} prompts, n = {n}: at most {limits.samples} texts in all."
        raise Problem(400, most, param="prompt")
    return [
        Wish(
            told=told,
            prompt=tokens,
            param="prompt",
            most=body.max_tokens,
            usual=16,
            logprobs=body.logprobs,
            echo=body.echo,
        )
        for told, tokens in (_read(prompt, known, limits) for prompt in prompts)
    ]


def _prompts(prompt: str | Sequence[Any]) -> Sequence[str | Sequence[int]]:
    """Texts, or lists of tokens; one prompt may stand without a list around it."""
    if isinstance(prompt, str) or all(isinstance(one, int) for one in prompt):
        return [prompt]
    return prompt


def _read(prompt: str | Sequence[int], known: Known, limits: Limits) -> tuple[str, tuple[int, ...]]:
    """A prompt as text and as tokens."""
    if isinstance(prompt, str):
        return prompt, prompt_of(known, prompt, limits)
    lexicon = known.items.lexicon
    assert lexicon is not None
    if not all(0 <= token < lexicon.letters for token in prompt):
        raise Problem(400, f"tokens are 0 to {lexicon.letters - 1}.", param="prompt")
    return lexicon.decode(prompt), tuple(prompt)


def conversation(body: Chat, known: Known, limits: Limits) -> Wish:
    """A conversation for a model that knows roles; for others, its lines."""
    body.check()
    if not body.messages:
        raise Problem(400, "messages is empty: send at least one.", param="messages")
    if body.top_logprobs is not None and not body.logprobs:
        raise Problem(400, "top_logprobs needs logprobs: true.", param="top_logprobs")
    lexicon, said = known.items.lexicon, [(one.role, _content(one)) for one in body.messages]
    told = "\n".join(text for _, text in said if text)
    newer = body.max_completion_tokens is not None
    lines = Wish(
        told=told,
        prompt=(),
        param="messages",
        most=body.max_completion_tokens if newer else body.max_tokens,
        named="max_completion_tokens" if newer else "max_tokens",
        usual=64,
        logprobs=(body.top_logprobs or 0) if body.logprobs else None,
    )
    if lexicon is None or ASKED not in lexicon.roles:
        return replace(lines, prompt=prompt_of(known, told, limits))
    prompt: list[int] = []
    starts: list[int] = []
    for role, text in said:
        if role not in ROLES:
            raise Problem(
                400, f"role is one of {', '.join(ROLES)}, not {role!r}.", param="messages"
            )
        starts.append(len(prompt))
        prompt += [*lexicon.opening(role), *prompt_of(known, text, limits), *lexicon.closing]
    ends, stops = lexicon.stops
    prompt += lexicon.opening(ASKED)
    return replace(lines, prompt=tuple(prompt), starts=tuple(starts), ends=ends, stops=stops)


def _content(message: Message) -> str:
    if isinstance(message.content, str) or message.content is None:
        return message.content or ""
    parts = message.content
    if any(part.get("type") != "text" for part in parts):
        raise Problem(400, "messages are text here.", param="messages")
    return "".join(str(part.get("text", "")) for part in parts)


def asked_of(body: Common, known: Known, wish: Wish, limits: Limits) -> tuple[Asked, Writing]:
    """The request, checked, and the texts that will answer it."""
    given = body.model_extra or {}
    options = {k: v for k, v in given.items() if k in known.options and v is not None}
    tokens, most = _fitted(body, known, wish)
    stops = (body.stop,) if isinstance(body.stop, str) else tuple(body.stop or ())
    if len(stops) > 4 or any(not 0 < len(stop) <= 64 for stop in stops):
        raise Problem(400, "stop is at most 4 strings of 1 to 64 characters.", param="stop")
    stops = (*stops, *wish.stops)
    lexicon = known.items.lexicon
    assert lexicon is not None
    asked = Asked(
        known=known,
        seeds=seeds_of(body.seed, body.n, limits),
        options=known.chosen(options, most_steps=limits.steps),
        prompt=tokens,
        told=wish.told,
        form="txt",
        tokens=body.stream or wish.logprobs is not None or not most,
        most=max(most, 1),  # the engine draws at least one, which no text takes
        stop=tuple((end,) for end in wish.ends),
        stops=stops,
        grammar=_grammar(body),
        logit_bias=tuple((body.logit_bias or {}).items()),
        logprobs=wish.logprobs,
        scored=wish.echo and wish.logprobs is not None,
    )
    writing = Writing(lexicon, body.n, most, stops, wish.ends, tokens)
    for text in () if most else writing.texts:
        text.reason = "length"
    return asked, writing


def _fitted(body: Common, known: Known, wish: Wish) -> tuple[tuple[int, ...], int]:
    """The prompt, and how many tokens are drawn after it.

    Of a prompt that is too long the end is taken where `truncation` is "auto"; else it is refused.
    The end is whole messages, where they are known and the last one fits.
    """
    prompt, length = wish.prompt, known.items.shape[0]
    hint = ' Or send truncation: "auto": then its end alone is read.'
    if body.truncation == "auto":
        hint = ""
        if len(prompt) + max(wish.most or 1, 1) > length:
            most = min(wish.usual, length // 2) if wish.most is None else wish.most
            place = len(prompt) - max(length - max(most, 1), 1)
            prompt = prompt[next((start for start in wish.starts if start >= place), place) :]
    least = 0 if wish.echo else 1  # a prompt may be scored, and nothing written
    room = room_after(
        known,
        len(prompt),
        wish.most,
        param=wish.param,
        named=wish.named,
        least=least,
        hint=hint,
    )
    return prompt, min(wish.usual, room) if wish.most is None else wish.most


def echoed(wish: Wish, asked: Asked) -> str:
    """What its texts begin with: nothing, the prompt as it was written, or what was read of it."""
    if not wish.echo:
        return ""
    lexicon = asked.known.items.lexicon
    assert lexicon is not None
    return wish.told if asked.prompt == wish.prompt else lexicon.decode(asked.prompt)


def _grammar(body: Common) -> tuple[str, str] | None:
    """The form that texts are to have, as OpenAI asks for it, by a regular expression, or valid."""
    told = body.response_format or {"type": "text"}
    kind, named = told.get("type"), told.get("json_schema")
    if body.regex is not None and kind != "text":
        raise Problem(400, "regex and response_format exclude each other.", param="regex")
    if kind == "text":
        return None if body.regex is None else ("regex", body.regex)
    if kind == "json_object":
        return "json_schema", '{"type": "object"}'
    if kind == VALID:
        return FORM, VALID
    if kind != "json_schema" or not isinstance(named, dict) or "schema" not in named:
        raise Problem(
            400,
            f"response_format is of type text, {VALID}, json_object, or json_schema with "
            'json_schema: {"name": ..., "schema": ...}.',
            param="response_format",
        )
    return "json_schema", json.dumps(named["schema"])
