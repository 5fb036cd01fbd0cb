"""genloom's own verbs in processes of their own, which end with the server, and how they went."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from genloom.errors import BadInput

LOOK_S, PATIENCE_S = 0.5, 20.0  # between looks at the work; until one that should end is killed


async def verb(
    words: Sequence[str],
    *,
    look: Callable[[], None] = lambda: None,
    fine: Sequence[int] = (0,),
    hide: Mapping[str, str] | None = None,
    at: Path | None = None,
) -> dict[str, Any]:
    """Run `genloom WORDS` and read the JSON that it prints.

    Where this is cancelled, the process is asked to end, as by Ctrl-C: a training saves first. It
    is waited for, so that whoever comes next finds the folder free.

    Args:
        words: The verb and its arguments, with --json.
        look: Called every half second.
        fine: Exit codes of work that was done.
        hide: Text of ours, such as a path -> what its owner reads instead.
        at: Where relative paths begin; None: where this process is.

    Raises:
        BadInput: It failed; the message is its own.
    """
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-P", "-m", "genloom.serve.attached", *words),
        stdin=asyncio.subprocess.PIPE,  # never written to; it ends with this process
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env=os.environ | {"NO_COLOR": "1"},
        cwd=at,
    )
    talk = asyncio.create_task(_said(process))
    try:
        while not talk.done():
            await asyncio.wait({talk}, timeout=LOOK_S)
            await asyncio.to_thread(look)
    finally:
        if not talk.done():
            process.send_signal(signal.SIGTERM)
            await asyncio.wait({talk}, timeout=PATIENCE_S)
            if not talk.done():
                process.kill()
            await asyncio.gather(talk, return_exceptions=True)
    out, err = (text.decode(errors="replace") for text in talk.result())
    for ours, told in (hide or {}).items():
        out, err = out.replace(_quoted(ours), _quoted(told)), err.replace(ours, told)
    report = _report(out)
    if process.returncode not in fine or report is None or "error" in report:
        lines = err.strip().splitlines() or ["it gave no reason"]
        raise BadInput(lines[-1].removeprefix("genloom: "))
    return report


def _quoted(text: str) -> str:
    """As it stands within JSON."""
    return json.dumps(text)[1:-1]


def _report(out: str) -> dict[str, Any] | None:
    try:
        return json.loads(out)
    except ValueError:
        return None


async def _said(process: asyncio.subprocess.Process) -> tuple[bytes, bytes]:
    """What it prints, and what it complains of, until its end; its input stays open."""
    assert process.stdout is not None and process.stderr is not None
    out, err = await asyncio.gather(process.stdout.read(), process.stderr.read())
    await process.wait()
    return out, err
