"""The settings of a recipe that a request may tell, checked before its training waits."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from genloom import catalog
from genloom.components import accepted, checked, use_of
from genloom.core import Option, options
from genloom.data.molecules import FORMS
from genloom.data.reading import BYTES, LEARNT, LETTERS
from genloom.errors import BadInput, nearest
from genloom.recipe import open_data
from genloom.serve.problems import Problem
from genloom.settings import override
from genloom.trainer import TrainOptions

SETTING = re.compile(
    r"train\.(lr|matrix_lr|batch|accumulate|seed|optimizer|weight_decay|clip|schedule|warmup"
    r"|warmdown|ema|dp_epsilon|dp_noise|dp_clip|dp_delta)"
    r"|data\.(size|channels|length|captions|caption_column|text_column|document|given|tokenizer"
    r"|vocab)"
    r"|model(\.(?!(?:base|teacher|text_encoder)\b)[a-z0-9_]+){1,4}"
)
"""Keys of a recipe that a request may set: none that names a file, a device or a budget."""
TOKENIZERS = (LETTERS, BYTES, LEARNT, *FORMS)  # those that are no files
LONGEST = 200


def check_settings(family: str, settings: Mapping[str, Any]) -> None:
    """Refuse what the training of a family would refuse of its settings, or may not be told.

    Raises:
        Problem: A key that may not be set or that nothing takes, or a value that does not fit.
    """
    for key, value in settings.items():
        if not SETTING.fullmatch(key) or len(str(value)) > LONGEST or ":" in str(value):
            raise Problem(400, f"{key[:80]!r} cannot be set so.", param="settings")
    try:
        tables = override({}, settings)
        data = checked("data", options(open_data), tables.get("data", {}))
        reads = data.get("tokenizer")
        if reads is not None and reads not in TOKENIZERS:
            text = f"data.tokenizer = {reads!r} is no way to read{nearest(reads, TOKENIZERS)}"
            raise BadInput(text)
        checked("train", options(TrainOptions), tables.get("train", {}))
        _check_part({"use": family, **tables.get("model", {})}, "model")
    except BadInput as error:
        raise Problem(400, str(error), code="invalid_value", param="settings") from error


def _check_part(table: Mapping[str, Any], kind: catalog.Kind | None = None) -> None:
    """Refuse options that a component, or one within it, does not take."""
    use = use_of(table)
    known = accepted(catalog.find(use, kind))
    for key, value in table.items():
        if key == "use":
            continue
        if not isinstance(value, Mapping):
            checked(use, known, {key: value})
        elif key not in known:
            raise BadInput(f"{use} takes no {key!r}{nearest(key, known)}")
        elif "use" in value:
            _check_part(value)
        else:
            _check_unnamed(f"{use}.{key}", value)


def _check_unnamed(owner: str, table: Mapping[str, Any]) -> None:
    """Refuse options that no net takes: which one a family chooses depends on the data."""
    known: dict[str, Option] = {}
    for name in catalog.names("net"):
        known |= accepted(catalog.find(name))
    for key in table:
        if key not in known:
            raise BadInput(f"{owner} takes no {key!r}{nearest(key, known)}")
