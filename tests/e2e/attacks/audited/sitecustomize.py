"""Writes down what a process opens, lists, removes, starts and connects to.

Python runs this file when it starts, in the server and in its children, because the test puts its
folder on PYTHONPATH. Only what Python itself opens is seen, not what a library in C opens.
"""

from __future__ import annotations

import json
import os
import sys

ONE = (
    "open",
    "sqlite3.connect",
    "ctypes.dlopen",
    "tempfile.",
    "glob.",
    "pathlib.",
)  # the first argument is a path
ALL = ("os.", "shutil.")  # all texts among the arguments are
RELATIVE = ("os.remove", "os.rmdir", "os.mkdir")  # to the folder of the last argument
STARTS = ("subprocess.Popen", "os.posix_spawn", "os.exec", "os.system", "os.startfile")
ENVIRONMENT = ("os.putenv", "os.unsetenv")
NETWORK = ("socket.connect", "socket.bind", "socket.sendto", "socket.sendmsg", "socket.get")
NETWORK += ("urllib.", "http.client.", "ftplib.", "smtplib.", "telnetlib.", "imaplib.", "poplib.")


def _told(event: str, args: tuple[object, ...]) -> list[str] | None:
    """The arguments that matter; None for an event that does not."""
    if event in ENVIRONMENT:
        return None
    if event in STARTS:
        return [repr(args[1] if event == "subprocess.Popen" else args[0])]
    if event.startswith((*ONE, *ALL)):
        given = args[:1] if event.startswith(ONE) else args
        place = args[-1] if event in RELATIVE else -1
        within = (
            os.readlink(f"/proc/self/fd/{place}") if isinstance(place, int) and place > 0 else ""
        )
        texts = [os.fsdecode(text) for text in given if isinstance(text, str | bytes | os.PathLike)]
        return [os.path.abspath(os.path.join(within, text)) for text in texts]
    if event.startswith(NETWORK) and event != "socket.gethostname":
        return [repr(arg) for arg in args if not hasattr(arg, "fileno")]
    return None


def _listen(file: int) -> None:
    def hear(event: str, args: tuple[object, ...]) -> None:
        told = _told(event, args)
        if told:
            os.write(file, json.dumps([os.getpid(), event, *told]).encode() + b"\n")

    sys.addaudithook(hear)


if "GENLOOM_AUDIT" in os.environ:
    _listen(os.open(os.environ["GENLOOM_AUDIT"], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600))
