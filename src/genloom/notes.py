"""Notes: what was done all the same, but perhaps not as the caller thinks.

In Python a note is a warning, which a program may turn into an error; the command line writes each
of them once, as a line on the standard error, and among what `--json` tells.
"""

from __future__ import annotations

import sys
import traceback
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from genloom.errors import BadInput

PACKAGE = Path(__file__).parent


class Note(UserWarning):
    """Something was left out or read otherwise, and the result is still one."""


def note(text: str) -> None:
    """Tell it to whoever asked for the result: the warning is at the call of this package."""
    stack = enumerate(traceback.walk_stack(sys._getframe()), start=1)
    inside = [level for level, (frame, _) in stack if _is_ours(frame.f_code.co_filename)]
    warnings.warn(text, Note, stacklevel=inside[-1] + 1)


def _is_ours(path: str) -> bool:
    return Path(path).is_relative_to(PACKAGE)


def left_out(unit: str, count: int, length: int, strange: int, known: bool) -> tuple[str, ...]:
    """What is not read of a text, in words.

    Args:
        unit: What is read one by one.
        count: Of the text.
        length: So many are read.
        strange: So many of these are unknown.
        known: Whether any is not.

    Raises:
        BadInput: None is known.
    """
    if strange and not known:
        raise BadInput(f"no {unit} of it was in the captions that the model learned.")
    end = (f"{unit}s beyond {length}",) if count > length else ()
    return (*end, f"{strange} unknown {unit}{'s' * (strange > 1)}") if strange else end


@contextmanager
def told() -> Iterator[list[str]]:
    """Within this, notes are lines on the standard error; yields those that came so far."""
    found: list[str] = []
    with warnings.catch_warnings():
        usual = warnings.showwarning

        def show(message: Any, category: type[Warning], *where: Any) -> None:
            if not issubclass(category, Note):
                return usual(message, category, *where)
            if (text := str(message)) not in found:
                found.append(text)
                print(f"note: {text}", file=sys.stderr)

        warnings.showwarning = show
        warnings.simplefilter("always", Note)
        yield found
