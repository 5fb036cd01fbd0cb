"""What is checked of a request before it takes a place: that its model can carry it out."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Any, Protocol, runtime_checkable

from torch import Tensor

from genloom import core
from genloom.artifact import Artifact
from genloom.core import Condition, Edits, Latents, Tokens
from genloom.decoding.constraints import Constraint
from genloom.decoding.forms import form_of
from genloom.decoding.rows import Bias, Decoding
from genloom.errors import BadInput, nearest
from genloom.serve.engine.crowd import Job
from genloom.serve.engine.request import Encode, Request
from genloom.serve.engine.thought import LOGITS


@runtime_checkable
class Draws(Protocol):
    """A model that draws one token after the other, and can go on from given ones."""

    length: int
    vocab: int

    def decoding(self, rows: int, *, fill: int = 1, bias: Bias | None = None) -> Decoding:
        """See `decoding.rows.Decoding`."""
        ...


def admit(request: Request | Encode, artifact: Artifact, rows: int, now: float) -> Job:
    """The job of a request that its model can carry out.

    Args:
        request: Any.
        artifact: Of the model that it names.
        rows: The most that a batch holds.
        now: See `Job.since`.

    Raises:
        BadInput: It asks for what the model does not have, or for too much at once.
    """
    if isinstance(request, Encode):
        job = Job(request, artifact, {}, {}, now)
        _check_room(job.rows, request.model, rows)
        _check_latents(request.model, artifact)
        _check_items(request.items, artifact, request.model)
        return job
    _check_room(len(request.seeds), request.model, rows)
    known = _options(type(artifact.model).sample_steps)
    options = {name: option.default for name, option in known.items()}
    for name, value in request.options.items():
        if name not in known:
            raise BadInput(f"there is no option {name!r}{nearest(name, known)}")
        options[name] = known[name].check(value)
    _check_tokens(request, artifact)
    if request.latent is not None:
        _check_codes(request, artifact)
    if request.source is not None:
        _check_source(request, artifact)
    cond = _condition(request, artifact)
    return Job(request, artifact, options, cond, now, _constraint(request, artifact))


@lru_cache(maxsize=256)
def _options(function: Callable[..., Any]) -> Mapping[str, core.Option]:
    """Read once: annotations are slow to resolve."""
    return core.options(function)


def _check_room(n: int, model: str, rows: int) -> None:
    if n > rows:
        raise BadInput(
            f"{n} samples of {model!r} in one request: at most {rows} "
            "are made together. Ask for the rest in further requests."
        )


def _check_tokens(request: Request, artifact: Artifact) -> None:
    model: Any = artifact.model
    if not isinstance(model, Draws):
        wants = request.prompt, request.tokens, request.most, request.stop, request.logprobs
        wants = *wants, request.stops, request.grammar, request.logit_bias
        if any(want is not None and want != () and want is not False for want in wants):
            raise BadInput(
                f"{request.model!r} does not draw token by token: it takes no prompt and no end, "
                "and sends no tokens. Ask for previews instead."
            )
        return
    if len(request.prompt) >= model.length:
        raise BadInput(
            f"the prompt has {len(request.prompt)} tokens, and {request.model!r} makes "
            f"{model.length} in all: give at most {model.length - 1}."
        )
    if request.scored and len(request.prompt) * model.vocab > LOGITS:
        raise BadInput(
            f"the prompt has {len(request.prompt)} tokens: of {request.model!r} at most "
            f"{LOGITS // model.vocab} are scored at once. Shorten it, or ask for no echo."
        )
    if request.prompt and not 0 <= min(request.prompt) <= max(request.prompt) < model.vocab:
        raise BadInput(f"the tokens of a prompt must lie in [0, {model.vocab - 1}].")
    if any(token >= model.vocab for token, _ in request.logit_bias):
        raise BadInput(f"the tokens of logit_bias must lie in [0, {model.vocab - 1}].")
    if (request.stops or request.grammar) and artifact.items.lexicon is None:
        raise BadInput(f"{request.model!r} makes no text: it takes no stops and no form.")


def _constraint(request: Request, artifact: Artifact) -> Constraint | None:
    """The form that the request asks for, if texts that are as long as it allows can have it."""
    if request.grammar is None:
        return None
    model, lexicon = artifact.model, artifact.items.lexicon
    assert isinstance(model, Draws) and lexicon is not None
    found, left = form_of(lexicon, *request.grammar), model.length - len(request.prompt)
    found.start(min(request.most or left, left), request.prompt)
    return found


def _check_latents(name: str, artifact: Artifact) -> None:
    if not isinstance(artifact.model, Latents):
        raise BadInput(f"{name!r} has no code for a datum: choose a model that has, as vae.")


def _check_codes(request: Request, artifact: Artifact) -> None:
    _check_latents(request.model, artifact)
    z, n = request.latent, len(request.seeds)
    size = getattr(artifact.model, "latent", None)
    assert z is not None
    if z.ndim != 2 or len(z) != n or (size is not None and z.shape[1] != size):
        wanted = "D" if size is None else size
        raise BadInput(f"latent has the shape {tuple(z.shape)}: it must be ({n}, {wanted}).")
    if not z.is_floating_point() or not bool(z.isfinite().all()):
        raise BadInput("a latent holds finite real numbers.")


def _check_source(request: Request, artifact: Artifact) -> None:
    assert request.source is not None
    if not isinstance(artifact.model, Edits):
        raise BadInput(
            f"{request.model!r} cannot change what is given: choose a diffusion or flow."
        )
    _check_items(request.source, artifact, request.model)
    n, mask = len(request.seeds), request.mask
    places = _places(artifact)
    for name, given, shape in (
        ("source", request.source, artifact.items.shape),
        ("mask", mask, places),
    ):
        if given is not None and (len(given) not in (1, n) or tuple(given.shape[1:]) != shape):
            raise BadInput(
                f"{name} has the shape {tuple(given.shape)}: it must be ({n}, *{shape}), "
                f"or (1, *{shape}) for all."
            )


def _places(artifact: Artifact) -> tuple[int, ...]:
    """The axes of a mask; of a picture those of its pixels, of which a token may be several."""
    space, items = artifact.codec.space, artifact.items
    if isinstance(space, Tokens):
        return items.shape[1:] if items.kind == "image" else space.shape
    return space.shape[1:]


def _check_items(items: Tensor, artifact: Artifact, name: str) -> None:
    shape, kind = artifact.items.shape, artifact.items.kind
    if items.ndim == 0 or len(items) < 1 or tuple(items.shape[1:]) != shape:
        raise BadInput(f"items have the shape {tuple(items.shape)}: it must be (n, *{shape}).")
    if items.is_floating_point() != (kind == "points"):
        raise BadInput(f"the items of {name!r} are {kind}, not {items.dtype}.")
    if items.is_floating_point() and not bool(items.isfinite().all()):
        raise BadInput("items hold finite real numbers.")
    lexicon = artifact.items.lexicon
    if lexicon is not None and not 0 <= int(items.min()) <= items.max() < lexicon.vocab:
        raise BadInput(f"letters are numbers in [0, {lexicon.vocab - 1}].")


def _condition(request: Request, artifact: Artifact) -> Condition:
    known = dict(artifact.model.conditions)
    if hasattr(artifact.model, "guided") and "caption" in known:
        known["negative_caption"] = known["caption"]
    if request.label is not None and "label" in request.condition:
        raise BadInput("the label is given twice: as a label and as a condition. Give one.")
    for name in request.condition:
        if name not in known:
            raise BadInput(f"there is no condition {name!r}{nearest(name, known)}")
    label = list(request.label) if isinstance(request.label, tuple) else request.label
    source = request.condition.get("source")  # some models make nothing without one
    cond = dict(artifact.condition(request.seeds, label, source=source))
    for name, value in request.condition.items():
        space, n = known[name], len(request.seeds)
        if tuple(value.shape) not in ((n, *space.shape), (1, *space.shape)):
            shape = (n, *space.shape)
            raise BadInput(f"{name} has the shape {tuple(value.shape)}: it must be {shape}.")
        value = value.expand(n, *space.shape)
        if isinstance(space, Tokens):
            if value.is_floating_point() or not -1 <= int(value.min()) <= value.max() < space.vocab:
                raise BadInput(f"{name} holds whole numbers in [-1, {space.vocab - 1}].")
            value = value.long()
        elif not value.is_floating_point():
            raise BadInput(f"{name} is {value.dtype}: real numbers are needed.")
        cond[name] = value if isinstance(space, Tokens) else value.float()
    return cond
