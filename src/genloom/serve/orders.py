"""What each kind of job needs, checked before it waits."""

from __future__ import annotations

import json
import re
import secrets
from collections.abc import Callable, Mapping
from typing import Any, Literal

from pydantic import BaseModel, Field

from genloom.catalog import CATALOG
from genloom.data.builtin import BUILTIN
from genloom.serve.asking import asked_for
from genloom.serve.given import MOST_BYTES
from genloom.serve.known import named
from genloom.serve.originals import Sent
from genloom.serve.problems import Problem
from genloom.serve.services import Services
from genloom.serve.settable import check_settings
from genloom.serve.store import Key
from genloom.serve.trainings import reserve

Kind = Literal["sample", "train", "evaluate", "compare", "survey", "forecast"]
NAME = re.compile(r"[a-z0-9][a-z0-9._-]{0,62}")
WORDS = {"label", "prompt", "negative_prompt", "format", "options"}  # as `asked_for` takes them


class Sample(BaseModel, strict=True, extra="forbid"):
    """What a job of samples needs."""

    model: str | None = None
    n: int
    seed: int | None = Field(None, ge=0, lt=2**62)
    label: str | int | None = None
    prompt: str = ""
    negative_prompt: str | None = None
    format: str | None = None
    options: dict[str, Any] = Field(default_factory=dict)
    source: str | None = Field(None, max_length=100)  # like the mask, the id of an own file
    mask: str | None = Field(None, max_length=100)
    strength: float | None = Field(None, ge=0, le=1)
    keep: bool = False


class Forecast(BaseModel, strict=True, extra="forbid"):
    """What a rehearsal needs: data, a family and one budget."""

    data: str
    family: str
    minutes: float | None = Field(None, ge=0.05, le=24 * 60)
    steps: int | None = Field(None, ge=1, le=10**8)
    settings: dict[str, bool | int | float | str] = Field(default_factory=dict, max_length=50)


class Train(Forecast):
    """What a training needs: the same, and a name for its model."""

    name: str


class Judge(BaseModel, strict=True, extra="forbid"):
    """What a verdict needs."""

    model: str | None = None
    models: list[str] = Field(default_factory=list, max_length=100)
    n: int | None = Field(None, ge=1, le=10**6)


class Survey(BaseModel, strict=True, extra="forbid"):
    """What a look at data needs."""

    data: str
    size: int | None = Field(None, ge=1, le=4096)
    channels: Literal[1, 3] | None = None
    length: int | None = Field(None, ge=1, le=10**6)


def sample(parts: Services, caller: Key, given: Sample) -> dict[str, Any]:
    """The body of a job of samples.

    Raises:
        Problem: Something does not fit, or a filter refuses it; so below.
        Refusal: The caller's day has fewer samples left; they are counted as they are made.
    """
    known, limits = named(parts.models, given.model), parts.settings.limits
    if not 1 <= given.n <= limits.job_samples:
        raise Problem(400, f"n = {given.n}: it must be 1 to {limits.job_samples}.", param="n")
    seed = secrets.randbelow(2**31) if given.seed is None else given.seed
    if seed + given.n > 2**62:
        raise Problem(400, f"seed = {seed}: the last seed must be below 2^62.", param="seed")
    words = given.model_dump(include=WORDS)
    sent = sent_files(parts, caller.id, given.model_dump())
    asked = asked_for(known, limits, (seed,), **words, sent=sent)
    parts.keys.check(caller, given.n)
    parts.maker.check_told(asked)
    return given.model_dump(exclude_defaults=True) | {"model": known.name, "seed": seed}


def sent_files(parts: Services, owner: str, body: Mapping[str, Any]) -> Sent:
    """The picture and the mask of a job of samples, which are files of its owner.

    Raises:
        NotFound: There is no such file.
        Problem: It is too large.
    """
    found: dict[str, bytes | None] = {}
    for name in ("source", "mask"):
        id = body.get(name)
        if id is not None and parts.files.get(owner, id).bytes > MOST_BYTES:
            raise Problem(413, f"{name} has at most {MOST_BYTES} bytes.", param=name)
        found[name] = None if id is None else parts.files.content(owner, id)
    strength, keep = body.get("strength"), bool(body.get("keep"))
    return Sent(picture=found["source"], mask=found["mask"], strength=strength, keep=keep)


def forecast(parts: Services, caller: Key, given: Forecast) -> dict[str, Any]:
    """The body of a rehearsal."""
    family = given.family
    if family not in CATALOG or CATALOG[family].kind != "model":
        families = [key for key, entry in CATALOG.items() if entry.kind == "model"]
        known = ", ".join(families)
        text = f"there is no family {family[:40]!r}. Known: {known}."
        raise Problem(400, text, param="family")
    if (given.minutes is None) == (given.steps is None):
        raise Problem(400, "give one of minutes and steps.", param="minutes")
    check_settings(family, given.settings)
    _check_data(parts, caller, given.data)
    return given.model_dump(exclude_defaults=True)


def train(parts: Services, caller: Key, given: Train) -> dict[str, Any]:
    """The body of a training, whose name is the owner's from now on."""
    body, name = forecast(parts, caller, given), given.name
    if not NAME.fullmatch(name):
        raise Problem(400, f"the name {name[:70]!r} is not a-z 0-9 . _ -", param="name")
    if name in parts.models or not reserve(parts.folders, name, caller.id):
        raise Problem(400, f"the name {name!r} is taken.", param="name")
    return body


def judge(parts: Services, caller: Key, given: Judge) -> dict[str, Any]:
    """The body of a verdict."""
    models = [named(parts.models, name).name for name in given.models or [given.model]]
    return {"models": models, "n": given.n}


def survey(parts: Services, caller: Key, given: Survey) -> dict[str, Any]:
    """The body of a look at data."""
    _check_data(parts, caller, given.data)
    return given.model_dump(exclude_defaults=True)


def setting_words(body: Mapping[str, Any]) -> list[str]:
    """The budget and the settings of a body as the command line takes them."""
    budget = "steps" if body.get("steps") is not None else "minutes"
    words = [f"--{budget}", str(body[budget])]
    for key, value in (body.get("settings") or {}).items():
        words += ["--set", f"{key}={json.dumps(value, ensure_ascii=False)}"]
    return words


def _check_data(parts: Services, caller: Key, data: str) -> None:
    """A built-in name, or the id of an own file; else there is no such file."""
    if data not in BUILTIN:
        parts.files.get(caller.id, data)


CHECKS: dict[str, tuple[str, type[BaseModel], Callable[[Services, Key, Any], dict[str, Any]]]] = {
    "sample": ("generate", Sample, sample),
    "train": ("train", Train, train),
    "evaluate": ("train", Judge, judge),
    "compare": ("train", Judge, judge),
    "survey": ("train", Survey, survey),
    "forecast": ("train", Forecast, forecast),
}
"""Kind of job -> the scope that it needs, its form, and what checks it."""
