"""Texts that begin as given, or answer a user, in a form, as far as a stop or a length."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from genloom.answering import answered
from genloom.artifact import Artifact, check_counts
from genloom.codecs import Text
from genloom.codecs.scores import Scores
from genloom.core import Condition, Rng, Tokens, check_options
from genloom.data.music import MIDI
from genloom.decoding.forms import form_of
from genloom.decoding.speculation import Guess, Speculation
from genloom.decoding.writing import Writing
from genloom.errors import BadInput
from genloom.lexicon import ASKED, Lexicon
from genloom.memory import kept_pages
from genloom.models.autoregressive import Autoregressive
from genloom.music.files import score_of
from genloom.sampling import device_of, evaluating

Ended = Callable[[int, int], bool]
"""(number of a text, the token that it has just drawn) -> whether it ends there."""


def written(
    artifact: Artifact,
    n: int,
    prompt: str = "",
    *,
    user: str | None = None,
    system: str | None = None,
    stop: Sequence[str] = (),
    max_tokens: int | None = None,
    form: tuple[str, str] | None = None,
    guess: Guess | None = None,
    seed: int = 0,
    batch: int = 64,
    options: dict[str, Any] | None = None,
    **condition: Any,
) -> list[Tensor]:
    """Draw n texts that begin with a prompt, or n answers to a user: each (at most L,).

    Args:
        artifact: A model of text that draws token by token.
        n: How many.
        prompt: What the texts begin with.
        user: What a user says, in place of a prompt; the answers are the texts, without it.
        system: What is said to the model before that.
        stop: Texts that end what is drawn; they are no part of it.
        max_tokens: The most to draw; None: as many as there is room for.
        form: Kind and source of a form that what is drawn is to have, and of a lexicon's own form
            what is given with it; see `decoding.forms.form_of`. A stop may cut it.
        guess: Draw several tokens a pass, one text after the other; see `speculation.Guess`.
        seed: Of the first.
        batch: How many at a time; it changes speed and memory, not the texts.
        options: Those of the family.
        condition: See `Artifact.condition`.

    Raises:
        BadInput: The model writes no texts so, or answers nobody; it knows not all of what is
            given, or has no room after it; a stop is empty, or there is nothing to draw; there is
            no such form, or none that is short enough; the net takes no guesses.
    """
    model, lexicon = writer(artifact), artifact.items.lexicon
    assert lexicon is not None
    if "" in stop:
        raise BadInput("stop = '': it must be a text of one character or more.")
    if max_tokens is not None:
        check_counts(max_tokens=max_tokens)
    ends, marks = (), ()
    if user is None and system is None:
        ids = lexicon.encode(prompt)
    elif user is None or prompt:
        raise BadInput("a system needs a user, and a user takes no prompt beside it.")
    elif ASKED not in lexicon.roles:
        raise BadInput(f"{artifact.name} learned no talks and answers no user: give a prompt.")
    else:
        ids, (ends, marks) = talk(lexicon, user, system), lexicon.stops
    if len(ids) >= model.length:
        raise BadInput(f"the prompt has {len(ids)} tokens, and a text {model.length}: shorten it.")
    given = torch.tensor([ids + [0] * (model.length - len(ids))]).expand(n, -1)
    known, most = torch.full((n,), len(ids)), max_tokens or model.length
    texts = [Writing(lexicon, 1, most, (*stop, *marks), ends) for _ in range(n)]

    def ended(i: int, token: int) -> bool:
        texts[i].add([[token]])
        return texts[i].texts[0].reason is not None

    cond = artifact.condition(range(seed, seed + n), **condition)
    if guess is None:
        limit: dict[str, Any] = {"constraint": form and form_of(lexicon, *form), "most": most}
        how: dict[str, Any] = {"seed": seed, "batch": batch, "ended": ended, **(options or {})}
        answered(model, given, known, cond, **limit, **how)
    else:
        assert form is None, "no guess keeps a form"
        _guessed(model, given[:, : len(ids)], cond, guess, seed, ended, options or {})
    shown = [] if user is not None else ids
    return [torch.tensor(shown + _tokens(one, lexicon), dtype=torch.long) for one in texts]


@kept_pages()
def _guessed(
    model: Autoregressive,
    given: Tensor,
    cond: Condition,
    guess: Guess,
    seed: int,
    ended: Ended,
    options: dict[str, Any],
) -> None:
    """Draw the texts that begin as given, (n, P), one after the other; `ended` takes the tokens."""
    chosen, space = check_options(model.sample_steps, options), model.space
    assert isinstance(space, Tokens)
    ahead, device = Speculation(model.net, space, guess), device_of(model)
    with evaluating(model), torch.inference_mode():
        for i in range(len(given)):
            own = {name: value[i : i + 1].to(device) for name, value in cond.items()}
            rng, known = Rng([seed + i], device), given[i : i + 1].to(device)
            any(ended(i, token) for token in ahead.complete(rng, own, known, **chosen))


def talk(lexicon: Lexicon, user: str, system: str | None = None) -> list[int]:
    """A turn of a user, after what the system says, and the opening of the answer to it."""
    ids = list[int]()
    for role, text in (("system", system), ("user", user)):
        if text is not None:
            ids += [*lexicon.opening(role), *lexicon.encode(text), *lexicon.closing]
    return [*ids, *lexicon.opening(ASKED)]


def answers(artifact: Artifact) -> bool:
    """Whether a model learned talks, whose parts are opened or closed by marks that no text has."""
    lexicon = artifact.items.lexicon
    return lexicon is not None and ASKED in lexicon.roles and bool(lexicon.stops[0])


def opening(artifact: Artifact, prompt: str) -> str:
    """A prompt as text: itself, or of music a MIDI file of that name, see `Scores.opening`.

    Raises:
        BadInput: The file holds no music that can be read.
    """
    path = Path(prompt)
    if artifact.items.medium != "music" or path.suffix.lower() not in MIDI:
        return prompt
    return Scores(artifact.items, "prompt").opening(score_of(path))


def writer(artifact: Artifact) -> Autoregressive:
    """The model of an artifact.

    Raises:
        BadInput: It does not write texts token by token.
    """
    model = artifact.model
    if not isinstance(model, Autoregressive) or not isinstance(artifact.codec, Text):
        raise BadInput(
            f"{artifact.name} draws no text token by token: it takes no prompt, user, stop, "
            "max_tokens, regex, json_schema, form, draft, lookup or int8."
        )
    return model


def _tokens(writing: Writing, lexicon: Lexicon) -> list[int]:
    """What was written, in tokens that say no more than that: a stop may begin within one."""
    (text,) = writing.texts
    if not writing.stops or lexicon.decode(text.tokens) == text.text:
        return text.tokens
    try:
        return lexicon.encode(text.text)
    except BadInput:  # it ends within a word, which is left out
        ends = (k for k in range(len(text.tokens), 0, -1))
        whole = (k for k in ends if text.text.startswith(lexicon.decode(text.tokens[:k])))
        return text.tokens[: next(whole, 0)]
