"""Settings: single values of a recipe, told beside it; `--set` of the command line."""

# pyright: strict
from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, cast

from genloom.errors import BadInput

Table = dict[str, Any]
BUDGETS = ("steps", "images", "minutes")
Settings = str | Iterable[str] | Mapping[str, Any]
"""`table.key=value`, one or some, where a value that is not TOML is a string; or tables, such as
{"data": {"size": 32}} or {"data.size": 32}."""
FORM = "a text such as 'train.steps=100', some, or a dict such as {'train.steps': 100}"


class _Nothing(str):
    """None in a recipe: "none", but as a text that no option takes unless it is optional."""

    def __repr__(self) -> str:
        return "None"


def override(recipe: Table, settings: Settings) -> Table:
    """The recipe with settings applied.

    Raises:
        BadInput: A setting without a table, a key or a value.
    """
    changed = _copy(recipe)
    for setting, path, value in _each(settings):
        *tables, key = path.strip().split(".")
        if not tables or not all((*tables, key)):
            raise BadInput(f"{setting} is not TABLE.KEY=VALUE, such as train.steps=100.")
        inner = changed
        for name in tables:
            table = inner.setdefault(name, {})
            if not isinstance(table, dict):
                raise BadInput(f"{setting}: {name!r} is a value, not a table.")
            inner = cast(Table, table)
        inner[key] = value
        if tables == ["train"] and key in BUDGETS:
            for other in BUDGETS:
                if other != key:
                    inner.pop(other, None)
    return changed


def _each(settings: Settings, *above: str) -> Iterator[tuple[str, str, Any]]:
    """Each as errors call it, its path, empty where it sets nothing, and its value."""
    if isinstance(settings, Mapping):
        for key, value in cast(Mapping[str, Any], settings).items():
            path = ".".join((*above, str(key)))
            if isinstance(value, Mapping):
                yield from _each(cast(Table, value), path)
            else:
                yield f"the setting {path}={value}", path, _plain(path, value)
        return
    lines: Any = [settings] if isinstance(settings, str) else settings
    if not isinstance(lines, Iterable):
        raise BadInput(f"settings = {settings!r}: it must be {FORM}.")
    for line in cast(Iterable[Any], lines):
        if not isinstance(line, str):
            raise BadInput(f"settings: {line!r} must be {FORM}.")
        path, sign, text = line.partition("=")
        yield f"--set {line}", path if sign else "", _parse(text.strip())


def _plain(path: str, value: Any) -> Any:
    """A value as TOML has it."""
    if value is None:
        return _Nothing("none")
    parts = cast(Iterable[Any], value if isinstance(value, list | tuple) else [value])
    if not all(isinstance(part, bool | int | float | str | Mapping) for part in parts):
        raise BadInput(f"the setting {path} = {value!r} is no text, number, bool or list of some.")
    return cast(Any, value)


def _copy(table: Table) -> Table:
    return {k: _copy(cast(Table, v)) if isinstance(v, dict) else v for k, v in table.items()}


def _parse(text: str) -> Any:
    try:
        return tomllib.loads(f"value = {text}")["value"]
    except tomllib.TOMLDecodeError:
        return text
