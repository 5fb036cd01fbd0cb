"""What may be asked of the engine: samples of a model, or the codes of items."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

import torch
from torch import Tensor

from genloom.errors import BadInput
from genloom.lexicon import is_text


@dataclass(frozen=True, kw_only=True, eq=False)
class Request:
    """One sample for each seed, from one model.

    Args:
        model: Its name; never a path.
        seeds: In [0, 2^63); sample i depends on seeds[i], its condition and the options alone.
        label: As `Artifact.condition` takes it: a class, or one for each seed; None draws them.
        condition: Further conditions, name -> (len(seeds) or 1, ...).
        options: Of the model's `sample_steps`.
        prompt: Tokens that every sample begins with, for models that go on from given ones.
        previews: How many guesses to show on the way, fewer where the model takes fewer steps.
        tokens: Send each token as it is drawn, for models that draw one after the other.
        most: How many tokens to draw; None: as many as a datum has.
        stop: Sequences of tokens; a sample that has drawn one of them ends before it.
        stops: Texts; a sample that has written one of them ends with the token that its text
            before it needs last, however the tokens lie.
        grammar: Kind and source of a form that every sample is to have; see
            `decoding.forms.form_of`.
        logit_bias: See `decoding.penalties.Penalties`.
        logprobs: Send with each token its log-probability, and those of so many of the likeliest,
            0 to 5; None: none. They are the model's own, before options and marks.
        scored: Send the same, before the first token, of those of the prompt.
        toward: A second seed: sample i lies mix[i] of the way to it (see `core.Walk`).
        mix: One for each seed, in [0, 1].
        latent: Codes to decode, (len(seeds), D), instead of drawing them.
        source: Items to change, (len(seeds) or 1, *items.shape).
        mask: Where they may change, bool, (len(seeds) or 1, *spatial); None: everywhere.
        strength: How much of the source is drawn anew, in [0, 1].
        id: Unique among those under way.

    Raises:
        BadInput: A value of the wrong type, or out of range.
    """

    model: str
    seeds: tuple[int, ...]
    label: int | str | tuple[int | str, ...] | None = None
    condition: Mapping[str, Tensor] = field(default_factory=dict)
    options: Mapping[str, Any] = field(default_factory=dict)
    prompt: tuple[int, ...] = ()
    previews: int = 0
    tokens: bool = False
    most: int | None = None
    stop: tuple[tuple[int, ...], ...] = ()
    stops: tuple[str, ...] = ()
    grammar: tuple[str, str] | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None
    scored: bool = False
    toward: int | None = None
    mix: tuple[float, ...] = ()
    latent: Tensor | None = None
    source: Tensor | None = None
    mask: Tensor | None = None
    strength: float = 1.0
    id: str = field(default_factory=lambda: uuid4().hex)

    def __post_init__(self) -> None:
        if not self.seeds or not all(_whole(s, 0, 2**63 - 1) for s in self.seeds):
            raise BadInput("seeds are one or more whole numbers in [0, 2^63).")
        if not all(type(token) is int for token in self.prompt):
            raise BadInput("a prompt is a list of token numbers.")
        labels = self.label if isinstance(self.label, tuple) else (self.label,)
        if not all(one is None or type(one) in (int, str) for one in labels):
            raise BadInput("a label is the name or the number of a class, or one for each seed.")
        if not _whole(self.previews, 0):
            raise BadInput(f"previews = {self.previews!r}: it must be a number of at least 0.")
        typed = {"model": str, "id": str, "tokens": bool, "scored": bool, "options": Mapping}
        for name, kind in typed.items():
            if not isinstance(getattr(self, name), kind):
                raise BadInput(f"{name} = {getattr(self, name)!r} is not a {kind.__name__}.")
        self._check_end()
        self._check_start()

    def _check_end(self) -> None:
        if self.most is not None and not _whole(self.most, 1):
            raise BadInput(f"most = {self.most!r} tokens: it must be a number of at least 1.")
        if self.logprobs is not None and not _whole(self.logprobs, 0, 5):
            raise BadInput(f"logprobs = {self.logprobs!r}: it must be 0 to 5.")
        if self.scored and self.logprobs is None:
            raise BadInput("a prompt is scored where logprobs are asked for.")
        if not isinstance(self.stop, tuple) or not all(
            isinstance(one, tuple) and one and all(type(token) is int for token in one)
            for one in self.stop
        ):
            raise BadInput("stop is a list of lists of token numbers, none of them empty.")
        if not _strings(self.stops) or not all(self.stops):
            raise BadInput("stops is a list of texts, none of them empty.")
        if self.grammar is not None and not (_strings(self.grammar) and len(self.grammar) == 2):
            raise BadInput("grammar is a kind and a source, such as regex and [0-9]+.")
        if not isinstance(self.logit_bias, tuple) or not all(
            isinstance(one, tuple) and len(one) == 2 and _whole(one[0], 0) and _nats(one[1])
            for one in self.logit_bias
        ):
            raise BadInput("logit_bias is a list of tokens, each with a number in [-100, 100].")

    def _check_start(self) -> None:
        if sum(v is not None for v in (self.toward, self.latent, self.source)) > 1:
            raise BadInput("toward, latent and source exclude each other: give one of them.")
        if self.toward is not None and not _whole(self.toward, 0, 2**63 - 1):
            raise BadInput(f"toward = {self.toward!r}: a seed is a whole number in [0, 2^63).")
        if len(self.mix) != (0 if self.toward is None else len(self.seeds)) or not all(
            _share(one) for one in self.mix
        ):
            raise BadInput("mix goes with toward: one number in [0, 1] for each seed.")
        if not _share(self.strength):
            raise BadInput(f"strength = {self.strength!r}: it must be a number in [0, 1].")
        if self.mask is not None and (self.source is None or self.mask.dtype != torch.bool):
            raise BadInput("a mask is true or false for each place of a source.")


@dataclass(frozen=True, kw_only=True, eq=False)
class Encode:
    """The codes of items, for a model that has one for each datum.

    Args:
        model: Its name.
        items: (n, *items.shape), as stored.
        id: Unique among those under way.
    """

    model: str
    items: Tensor
    id: str = field(default_factory=lambda: uuid4().hex)


def _whole(value: Any, low: int, high: int | None = None) -> bool:
    return type(value) is int and low <= value and (high is None or value <= high)


def _strings(value: Any) -> bool:
    return isinstance(value, tuple) and all(isinstance(s, str) and is_text(s) for s in value)


def _nats(value: Any) -> bool:
    return type(value) in (int, float) and -100 <= value <= 100


def _share(value: Any) -> bool:
    return type(value) in (int, float) and 0 <= value <= 1
