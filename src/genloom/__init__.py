"""A workbench for generative AI: train, judge, compare and use generative models on your own data.

Every name here is loaded when it is first used, so that `import genloom` costs nothing:

    import genloom as gl
    model = gl.train(data="digits", model="flow", minutes=2)
    images = model.sample(16, label="7")
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from genloom import data as data
    from genloom.artifact import Artifact as Artifact
    from genloom.artifact import load as load
    from genloom.artifact import sample as sample
    from genloom.artifact import save as save
    from genloom.artifact import stream as stream
    from genloom.comparison import compare as compare
    from genloom.evaluation import evaluate as evaluate
    from genloom.runs import train as train

__version__ = "0.1.0"

_HOMES = {
    "Artifact": "genloom.artifact",
    "compare": "genloom.comparison",
    "evaluate": "genloom.evaluation",
    "load": "genloom.artifact",
    "sample": "genloom.artifact",
    "save": "genloom.artifact",
    "stream": "genloom.artifact",
    "train": "genloom.runs",
}

__all__ = [
    "Artifact",
    "__version__",
    "compare",
    "data",
    "evaluate",
    "load",
    "sample",
    "save",
    "stream",
    "train",
]


def __getattr__(name: str) -> Any:
    """Load a verb when it is first asked for."""
    if name == "data":
        return import_module("genloom.data")
    if name not in _HOMES:
        raise AttributeError(f"module 'genloom' has no attribute {name!r}")
    value = getattr(import_module(_HOMES[name]), name)
    globals()[name] = value
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
