"""Failures with names: each has one line to say, and an exit code."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


class GenloomError(Exception):
    """Anything that genloom itself reports; the CLI prints it as one line, without a traceback."""

    exit_code = 1


class BadInput(GenloomError, ValueError):
    """The caller can mend this: a wrong name, value, file or combination."""

    exit_code = 2


class MissingExtra(GenloomError, ImportError):
    """An optional dependency is needed; the message names the extra to install."""

    exit_code = 2


class Refused(GenloomError):
    """A measure that cannot be believed is not printed: the message says what it needs."""

    exit_code = 2


class Diverged(GenloomError):
    """NaN or infinity in a batch, a loss, a gradient or a weight."""

    exit_code = 10


class DiscriminatorWins(GenloomError):
    """One player tells real from generated so well that the other learns nothing."""

    exit_code = 11


class Collapsed(GenloomError):
    """The samples are far less diverse than the data."""

    exit_code = 12


class PosteriorDied(GenloomError):
    """The latent code carries no information about the datum."""

    exit_code = 13


class CodebookDied(GenloomError):
    """Most entries of a codebook are never used."""

    exit_code = 14


class Plateau(GenloomError):
    """The loss has stopped falling long before the end of the budget."""

    exit_code = 15


class DiskFull(GenloomError):
    """A file could not be written; what was on disk before is intact."""

    exit_code = 16


class Overfitted(GenloomError):
    """The training data are known by heart: by a player that should lead another, or by all."""

    exit_code = 17


class Interrupted(GenloomError):
    """Stopped by Ctrl-C or SIGTERM after a save; the message says how to go on."""

    exit_code = 130


def need(module: str, extra: str, purpose: str) -> MissingExtra:
    """The error for an absent optional dependency."""
    return MissingExtra(f"{purpose} needs {module}. Install it: pip install 'genloom[{extra}]'")


def nearest(name: str, known: Iterable[str]) -> str:
    """A hint for a misspelt name, as '; did you mean X? Known: A, B.', to end a message with."""
    names = sorted(known)
    close = get_close_matches(name, names, 1, cutoff=0.5)
    hint = f"; did you mean {close[0]!r}?" if close else "."
    return f"{hint} Known: {', '.join(names)}." if names else hint
