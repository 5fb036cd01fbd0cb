"""What a recipe may name: families, nets and codecs, and the options of a family and its net."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import Any, get_origin

from genloom.catalog import CATALOG, find, name_of
from genloom.components import accepted, family
from genloom.core import Generative, Option, Real, Space, Tokens

TITLES = {"model": "families (--model)", "net": "nets (model.net.use)", "codec": "codecs"}
SPACES: Mapping[str, Space] = {  # data -> a space such as theirs, for a net that depends on it
    "pictures of 32x32": Real((3, 32, 32)),
    "points": Real((2,)),
    "tokens": Tokens((64,), 256),
}


def components() -> dict[str, dict[str, str]]:
    """Kind -> name -> what it is."""
    return {
        kind: {name: entry.about for name, entry in CATALOG.items() if entry.kind == kind}
        for kind in TITLES
    }


def options_of(name: str, *, allow_code: bool = False) -> dict[str, dict[str, Option]]:
    """Title -> the options of a family, and of each net that is usual for it.

    Args:
        name: Of the family.
        allow_code: See `catalog.find`.

    Raises:
        BadInput: There is no such family.
    """
    target = find(name, "model", allow_code=allow_code)
    known = accepted(target)
    found = {f"options of {name} (--set model.KEY=VALUE)": _plain(known)}
    nets = _usual(family(target)) if "net" in known else {}
    for net, (data, chosen) in nets.items():
        where = f" for {data}" if len(nets) > 1 else ""
        own = {
            key: replace(option, default=chosen.get(key, option.default))
            for key, option in accepted(net).items()
        }
        title = f"options of {name_of(net)}, its usual net{where} (--set model.net.KEY=VALUE)"
        found[title] = _plain(own)
    return found


def told(option: Option) -> str:
    """The default of an option, and what else it may be."""
    default = "none" if option.default is None else option.default
    text, low, high = f"default {default}", option.bounds.ge, option.bounds.le
    if option.choices:
        return f"{text}: {'|'.join(map(str, option.choices))}"
    if low is not None and high is not None:
        return f"{text}, from {low} to {high}"
    return text if low is high is None else f"{text}, {option.bounds}"


def _plain(known: Mapping[str, Option]) -> dict[str, Option]:
    """Without those that are components, such as the net."""
    return {k: o for k, o in known.items() if get_origin(o.type) in (None, tuple)}


def _usual(model: type) -> dict[Callable[..., Any], tuple[str, Mapping[str, Any]]]:
    """Net -> the data that it is usual for, and what is chosen for them; see `SPACES`."""
    found: dict[Callable[..., Any], tuple[str, Mapping[str, Any]]] = {}
    if issubclass(model, Generative):
        for data, space in SPACES.items():
            made = model.usual_net(space) if isinstance(space, model.spaces) else None
            if isinstance(made, functools.partial):
                found.setdefault(made.func, (data, made.keywords))
            elif made is not None:
                found.setdefault(made, (data, {}))
    return found
