"""The address of a server, taken before anything is loaded or written."""

from __future__ import annotations

import errno
import os
import socket
from collections.abc import Generator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any

from genloom.errors import BadInput

HIGHEST, FREE = 2**16 - 1, 1024  # of the ports; the first that everybody may take
NOWHERE = (errno.EADDRNOTAVAIL, errno.EAFNOSUPPORT)


@contextmanager
def listening(host: str, port: int) -> Generator[Sequence[socket.socket]]:
    """Sockets that listen, one for each address of a host; clients wait until they are accepted.

    Addresses of a family that this machine has not are left out, as `asyncio` does it.

    Args:
        host: A name or an address of this machine.
        port: To listen on; 0 for any that is free.

    Raises:
        BadInput: Somebody listens there, the host is another machine's, or it is not allowed.
    """
    if not 0 <= port <= HIGHEST:
        raise BadInput(f"--port {port}: it must be 0 to {HIGHEST}.")
    host = host.removeprefix("[").removesuffix("]")  # as an address stands in a URL
    with ExitStack() as stack:
        found: list[socket.socket] = []
        for family, (address, _, *scope) in _addresses(host):
            try:
                # asyncio sends what is small at once only where the protocol is named.
                made = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
                one = stack.enter_context(made)
                _listen(one, (address, port, *scope))
            except OSError as error:
                if error.errno not in NOWHERE:
                    raise BadInput(_why(error, host, port)) from None
            else:
                found.append(one)
                port = one.getsockname()[1]
        if not found:
            raise BadInput(_elsewhere(host))
        yield found


def _addresses(host: str) -> list[tuple[socket.AddressFamily, tuple[Any, ...]]]:
    some = {"type": socket.SOCK_STREAM, "flags": socket.AI_PASSIVE}
    try:
        known = socket.getaddrinfo(host or None, 0, **some)
    except (OSError, UnicodeError):
        raise BadInput(_elsewhere(host)) from None
    return list(dict.fromkeys((family, address) for family, _, _, _, address in known))


def _listen(one: socket.socket, address: tuple[Any, ...]) -> None:
    if os.name == "posix":  # elsewhere it lets two servers listen at once
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, True)
    if one.family == socket.AF_INET6:
        one.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, True)
    one.bind(address)
    one.listen()


def _why(error: OSError, host: str, port: int) -> str:
    if error.errno == errno.EADDRINUSE:
        return f"port {port} of {host} is in use: choose another with --port N."
    if error.errno == errno.EACCES:
        return f"port {port} needs rights that you have not: choose one from {FREE} with --port N."
    return f"{host} port {port} cannot be listened on: {error.strerror}."


def _elsewhere(host: str) -> str:
    return (
        f"--host {host} is no address of this machine: leave it out for this machine alone, "
        "or give 0.0.0.0 to listen on all that it has."
    )
