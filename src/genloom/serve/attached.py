"""`genloom WORDS`, stopped as by Ctrl-C when whoever holds the other end of its input is gone.

A server that is killed cannot tell the training that it began to stop, but the system closes its
pipes. The training then saves, and lets go of its folder for the server's next life.
"""

from __future__ import annotations

import os
import signal
import sys
import threading

from genloom.cli import main


def stop_at_end(fd: int) -> None:
    """Read until there is no more, then ask this process to end."""
    while os.read(fd, 4096):
        pass
    os.kill(os.getpid(), signal.SIGTERM)


if __name__ == "__main__":
    threading.Thread(target=stop_at_end, args=(sys.stdin.fileno(),), daemon=True).start()
    sys.exit(main(sys.argv[1:]))
