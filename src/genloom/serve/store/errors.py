"""What the store answers instead of doing it; the server turns each into a status."""

from __future__ import annotations

from genloom.errors import GenloomError


class NotFound(GenloomError, LookupError):
    """There is no such item, or it is another's: the two are answered alike."""

    def __init__(self, what: str):
        super().__init__(f"there is no such {what}.")


class Refusal(GenloomError):
    """Not now: the caller may come back.

    Args:
        message: What is over which limit.
        retry_after_s: Seconds until it can succeed.
    """

    def __init__(self, message: str, retry_after_s: float):
        super().__init__(message)
        self.retry_after_s = retry_after_s


class TooFast(Refusal):
    """A key sends more requests a minute than it may."""


class QuotaSpent(Refusal):
    """A key has made all the samples that it may make today."""


class QueueFull(Refusal):
    """As many jobs wait as may wait."""


class LeaseLost(GenloomError):
    """The job was given to another worker, or has ended: stop working on it."""


class Held(GenloomError):
    """The output waits for a reviewer, or was rejected by one."""
