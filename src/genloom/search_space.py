"""What `genloom tune` may vary: `train.lr=1e-4..1e-2`, `model.net.width=32,64`.

A parameter is an option of the recipe, so its type and bounds are known before anything is trained.
What would change the data, the budget or the seed cannot be searched: the trials would no longer be
comparable.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, cast

from genloom import catalog
from genloom.core import Option, options
from genloom.errors import BadInput, nearest
from genloom.options import TrainOptions
from genloom.recipe import BUDGETS, accepted, open_data, override

AUGMENTS = (
    "flip",
    "shift",
    "cutout",
    "transpose",
)  # keys of [data] that leave the validation part as it is
LOG_FROM = 10  # high / low from which on a range is searched by its logarithm
FORM = "KEY=LOW..HIGH or KEY=A,B,C, such as train.lr=1e-4..1e-2 or model.net.width=32,64"


@dataclass(frozen=True)
class Range:
    """Numbers from low to high, both inclusive; by their logarithm where `log`."""

    key: str
    low: float
    high: float
    log: bool

    def holds(self, value: Any) -> bool:
        """Whether a value of a recipe lies within."""
        number = isinstance(value, int | float) and not isinstance(value, bool)
        return number and self.low <= value <= self.high

    def __str__(self) -> str:
        return f"{self.key}={self.low}..{self.high}"


@dataclass(frozen=True)
class Choices:
    """A few values of equal right."""

    key: str
    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Whether a value of a recipe is one of them."""
        return any(value == one and type(value) is type(one) for one in self.values)

    def __str__(self) -> str:
        return f"{self.key}={','.join(map(str, self.values))}"


Parameter = Range | Choices


def parse(
    search: Iterable[str], recipe: Mapping[str, Any], *, allow_code: bool = False
) -> list[Parameter]:
    """The parameters that a search names, checked against a resolved recipe.

    Args:
        search: "KEY=LOW..HIGH" or "KEY=A,B,C".
        recipe: As `recipe.resolve` gave it: every component is named.
        allow_code: As for `recipe.resolve`.

    Raises:
        BadInput: Nothing to search, a key that is unknown, named twice or not to be searched, or a
            value that does not fit.
    """
    found: dict[str, Parameter] = {}
    for text in search:
        key, sign, values = (part.strip() for part in text.partition("="))
        if not sign or not values:
            raise BadInput(f"--search {text} is not {FORM}.")
        if key in found:
            raise BadInput(f"--search {key} is named twice: give each key once.")
        option = _option(key, recipe, allow_code)
        if option.type not in (int, float, str, bool):
            raise BadInput(f"--search {key}: only numbers, words and true or false are searched.")
        found[key] = _range(key, values, option) if ".." in values else _list(key, values, option)
    if not found:
        raise BadInput(f"nothing to search: give --search {FORM}.")
    return list(found.values())


def value_of(recipe: Mapping[str, Any], key: str) -> Any:
    """The value at "table.key" of a recipe; None where it has none."""
    inner: Any = recipe
    for name in key.split("."):
        inner = inner.get(name) if isinstance(inner, Mapping) else None
    return inner


def _option(key: str, recipe: Mapping[str, Any], allow_code: bool) -> Option:
    table, *path = key.split(".")
    if table not in ("train", "model", "data"):
        raise BadInput(f"--search {key}{nearest(table, ('train', 'model', 'data'))}")
    if not path:
        raise BadInput(f"--search {key} is not {FORM}.")
    if table == "model":
        return _component(key, recipe["model"], path, allow_code)
    known = options(TrainOptions if table == "train" else open_data)
    fixed = (*BUDGETS, "seed") if table == "train" else tuple(k for k in known if k not in AUGMENTS)
    if key.partition(".")[2] in fixed:
        raise BadInput(
            f"--search {key} would make trials that cannot be compared. Set it for all of them: "
            f"--set {key}=..."
        )
    return _known(key, path, known)


def _component(key: str, table: Any, path: list[str], allow_code: bool) -> Option:
    """Follow the path through components that are arguments of each other."""
    for i, name in enumerate(path):
        known = accepted(catalog.find(table["use"], allow_code=allow_code))
        if i == len(path) - 1:
            return _known(key, [name], known)
        inner = table.get(name)
        if not isinstance(inner, Mapping) or "use" not in inner:
            parts = [k for k, v in table.items() if isinstance(v, Mapping)]
            raise BadInput(f"--search {key}: no part is called {name!r}{nearest(name, parts)}")
        table = cast(Mapping[str, Any], inner)
    raise AssertionError(path)


def _known(key: str, path: list[str], known: Mapping[str, Option]) -> Option:
    name = ".".join(path)
    if name not in known:
        raise BadInput(f"--search {key}: there is no {name!r}{nearest(name, known)}")
    return known[name]


def _range(key: str, text: str, option: Option) -> Range:
    ends = text.split("..")
    if option.type not in (int, float) or len(ends) != 2:
        raise BadInput(f"--search {key}={text} is not {FORM}.")
    low, high = (_value(key, end, option) for end in ends)
    if low is None or high is None or not (math.isfinite(high - low) and low < high):
        raise BadInput(f"--search {key}={text}: {ends[0]} must be a number below {ends[1]}.")
    return Range(key, low, high, low > 0 and high / low >= LOG_FROM)


def _list(key: str, text: str, option: Option) -> Choices:
    values = tuple(_value(key, part, option) for part in text.split(","))
    if len(values) < 2 or len(set(values)) < len(values):
        raise BadInput(f"--search {key}={text} needs two values or more, all different.")
    return Choices(key, tuple("none" if value is None else value for value in values))


def _value(key: str, text: str, option: Option) -> Any:
    """One value in the option's type; "none" is None where that is allowed."""
    given = override({}, [f"one.value={text}"])["one"]["value"] if text.strip() else ""
    try:
        return option.check(None if given == "none" and option.optional else given)
    except BadInput as error:
        raise BadInput(f"--search {key}: {error}") from error
