"""What can go wrong between a caller and a sample, by what the caller may do next."""

from __future__ import annotations

from genloom.errors import GenloomError


class WireError(GenloomError):
    """What came over the wire is not a message of ours; the connection is of no more use."""


class Full(GenloomError):
    """The queue is full: HTTP 429. Nothing was done; the same request may come again later."""

    retry_after_s = 1


class Unavailable(GenloomError):
    """The request was not carried out, through no fault of its own: HTTP 503 with Retry-After."""

    retry_after_s = 5


class WorkerDied(Unavailable):
    """The process that held the request ended, or hung and was ended; another one is started."""


class Draining(Unavailable):
    """The server is stopping and takes no more requests."""


class ModelUnavailable(Unavailable):
    """A model that the server was told of cannot be loaded; its log says why."""


class RequestFailed(GenloomError):
    """Sampling itself failed: HTTP 500.

    Args:
        error: Name of the error's class in the worker.
        message: Safe to show: of an error that is not genloom's own it says nothing.
    """

    def __init__(self, error: str, message: str):
        super().__init__(message)
        self.error = error
