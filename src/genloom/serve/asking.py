"""A request for samples, checked against its model and the limits: one way for all who ask."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from genloom.serve import media
from genloom.serve.asked import Asked
from genloom.serve.known import Known
from genloom.serve.making import label_of, seeds_of
from genloom.serve.originals import Sent, made_from
from genloom.serve.problems import Problem
from genloom.serve.prompts import caption_of, negative_of, prompt_of, room_after
from genloom.serve.settings import Limits

LARGEST = 1e6  # of a number of a code
NOTHING = Sent()


def asked_for(
    known: Known,
    limits: Limits,
    seeds: Sequence[int],
    *,
    label: int | str | None = None,
    prompt: str = "",
    negative_prompt: str | None = None,
    format: str | None = None,
    options: Mapping[str, Any] | None = None,
    previews: int = 0,
    tokens: bool = False,
    most: int | None = None,
    toward: int | None = None,
    mix: Sequence[float] = (),
    latent: Sequence[Sequence[float]] | None = None,
    sent: Sent = NOTHING,
) -> Asked:
    """What `Maker.make` takes; slow where a picture is sent.

    Args:
        known: The model.
        limits: Of the server.
        seeds: One for each sample, checked already.
        label: A class, by name or index.
        prompt: Text that each sample begins with, or that says what it should show.
        negative_prompt: What it should not show, for models that are led by captions.
        format: Of the files; None for the kind's default.
        options: Of the model's sampling.
        previews: Guesses to show on the way.
        tokens: Show tokens as they are drawn, where the model draws tokens.
        most: Tokens to draw.
        toward: A seed that the samples lie on the way to.
        mix: How far each of them is.
        latent: The code of each sample, instead of drawing it.
        sent: A picture that the samples are made from.

    Raises:
        Problem: Something does not fit.
    """
    given = () if known.items.caption else prompt_of(known, prompt, limits)
    asked = Asked(
        known=known,
        seeds=tuple(seeds),
        label=label_of(known, label),
        options=known.chosen(options or {}, most_steps=limits.steps),
        prompt=given,
        caption=caption_of(known, prompt, limits),
        negative=negative_of(known, negative_prompt, limits),
        told="\n".join(filter(None, (prompt, negative_prompt))),
        form=media.media_type(known.items.medium, format)[0],
        previews=previews,
        tokens=tokens and known.tokens,
        most=_most(known, most, len(given)),
        toward=toward,
        mix=tuple(mix),
        latent=_codes(known, latent),
    )
    if sent.picture is not None and known.given == "none" and (toward, latent) != (None, None):
        need = "toward and latent say where samples start, and so does what is to be changed."
        raise Problem(400, f"{need} Send one of them.", param=sent.name)
    return made_from(asked, sent)


def walk(seed: int | None, toward: int, mix: Sequence[float], limits: Limits) -> tuple[int, ...]:
    """The seeds of a walk: for each place of it, the one where it starts.

    Raises:
        Problem: A seed is out of range, or a place outside of [0, 1].
    """
    if not 1 <= len(mix) <= limits.samples or not all(0 <= share <= 1 for share in mix):
        need = f"mix is 1 to {limits.samples} numbers in [0, 1]"
        raise Problem(400, f"{need}: how far each sample is on the way.", param="mix")
    seeds_of(toward, 1, limits)
    return seeds_of(seed, 1, limits) * len(mix)


def _most(known: Known, most: int | None, given: int) -> int | None:
    if known.tokens:
        room_after(known, given, most, param="prompt")
    elif most is not None:
        raise Problem(400, f"{known.name} does not draw token by token.", param="max_tokens")
    return most


def _codes(
    known: Known, codes: Sequence[Sequence[float]] | None
) -> tuple[tuple[float, ...], ...] | None:
    if codes is None:
        return None
    if known.latent is None:
        raise Problem(400, f"{known.name} has no codes of data.", param="latent")
    wrong = [code for code in codes if len(code) != known.latent]
    if wrong or not all(abs(value) < LARGEST for code in codes for value in code):
        need = f"each code is {known.latent} numbers within {LARGEST:g} of 0."
        raise Problem(400, f"{known.name}: {need}", param="latent")
    return tuple(tuple(code) for code in codes)
