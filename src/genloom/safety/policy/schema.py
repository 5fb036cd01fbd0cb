"""What a policy file may say: its keys, their types, and errors that name the place."""

from __future__ import annotations

import inspect
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any, Literal

from genloom.core import check_options, options
from genloom.errors import BadInput, nearest

VerdictName = Literal["flag", "hold", "refuse"]


def strings(name: str, values: list[Any] | None) -> list[str]:
    """A list of strings that are not empty.

    Raises:
        BadInput: Something else is in it.
    """
    for value in values or []:
        if not isinstance(value, str) or not value:
            raise BadInput(
                f"{name} holds {value!r}: only texts that are not empty can stand there."
            )
    return list(values or [])


def file_of(folder: Path, name: str) -> Path:
    """The file of that name, relative to the folder of the policy.

    Raises:
        BadInput: There is none.
    """
    path = folder / name
    if not path.is_file():
        raise BadInput(f"there is no file {path}. Names are relative to the policy's folder.")
    return path


def build(make: type[Any], folder: Path, given: Mapping[str, Any]) -> Any:
    """Make an object as `make(folder, **given)`, the options checked against its signature.

    Raises:
        BadInput: An unknown option, a wrong type or range, or one that is missing.
    """
    known = options(make.__init__)
    missing = [n for n, o in known.items() if o.default is inspect.Parameter.empty]
    for name in missing:
        if name not in given:
            raise BadInput(f"{name} is missing. {make.__name__} needs {', '.join(missing)}.")
    return make(folder, **check_options(make.__init__, given))


def table(name: str, value: Any, known: Collection[str]) -> dict[str, Any]:
    """A table all of whose keys are known.

    Raises:
        BadInput: It is no table, or has an unknown key; the message says the nearest.
    """
    if not isinstance(value, Mapping):
        raise BadInput(f"{name} = {value!r} is not a table.")
    for key in value:
        if key not in known:
            raise BadInput(f"{name} has no key {key!r}{nearest(key, known)}")
    return dict(value)
