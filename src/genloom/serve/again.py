"""`genloom reproduce`: its words and its work; nothing heavy until it is called."""

from __future__ import annotations

import argparse
import asyncio
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genloom.errors import BadInput

if TYPE_CHECKING:
    from genloom.serve.known import Known
    from genloom.serve.originals import Sent
    from genloom.serve.reproduce import Comparison
    from genloom.serve.store import Record, Records

ABOUT = """\
Make an output of a server again from its record, and compare it byte for byte.

The exit code is 0 where it is the same, 1 where it differs, and 2 where it cannot be made here.

examples:
  genloom reproduce lw3pfmc6adhkr4vqt5nrglb7sm
  genloom reproduce lw3pfmc6adhkr4vqt5nrglb7sm --model runs/digits-flow --out again.png
  genloom reproduce lw3pfmc6adhkr4vqt5nrglb7sm --source face.png --mask hole.png
"""


def add_parser(verb: Any, folder: Path) -> None:
    """Add the verb to the command line; `folder` is the server's usual one."""
    made = verb("reproduce", ABOUT, reproduce)
    made.add_argument("id", metavar="ID", help="of the output")
    made.add_argument("--folder", type=Path, default=folder, help="what the server keeps (server)")
    made.add_argument("--database", metavar="URL", help="default: SQLite in --folder")
    made.add_argument("--blobs", metavar="URL", help="where files are kept; default: in --folder")
    made.add_argument("--model", metavar="RUN", help="where its model is; default: as served")
    made.add_argument(
        "--source",
        type=Path,
        metavar="FILE",
        help="the picture or MIDI file it was made from, which is not kept",
    )
    made.add_argument("--mask", type=Path, metavar="FILE", help="the mask that was sent with it")
    made.add_argument("--out", type=Path, metavar="FILE", help="write what was made, without marks")


def reproduce(args: argparse.Namespace) -> int:
    """`genloom reproduce`."""
    from genloom.artifact import find
    from genloom.serve.known import learn
    from genloom.serve.reproduce import folder_of
    from genloom.serve.store import Blobs, NotFound, Records, Store
    from genloom.verbs import show

    sent = _sent(args)
    file = args.folder / "genloom.sqlite"
    if args.database is None and not file.is_file():
        raise BadInput(f"no server has kept its records in {args.folder}. Name its --folder.")
    with ExitStack() as stack:
        store = stack.enter_context(Store(args.database or f"sqlite:///{file}"))
        records = Records(store, Blobs(args.blobs or args.folder / "blobs"))
        try:
            record = records.look(args.id)
        except NotFound as error:
            raise BadInput(f"{error} It may have been deleted, or be another server's.") from error
        weights = record.origin.model
        path = find(args.model) if args.model else folder_of(args.folder, weights)
        found = asyncio.run(_remade(learn("again", path), record, sent))
        kept = _kept(records, record)
    if args.out is not None:
        args.out.write_bytes(found.content)
    word = "the same" if found.same else "DIFFERENT"
    text = [f"{record.id}: {word}, byte for byte. Compared: {found.compared}."]
    text += [f"  made now  {found.sha256}", f"  recorded  {found.recorded}"]
    text += [f"  the file that the server keeps is {kept}"]
    told = {"id": record.id, "model": str(path), **found.as_dict(), "kept": kept}
    show(args, told, "\n".join(text))
    return 0 if found.same else 1


def _sent(args: argparse.Namespace) -> Sent:
    """The files that the command names.

    Raises:
        BadInput: There is no such file, or a mask of nothing.
    """
    from genloom.serve.originals import Sent

    for path in (args.source, args.mask):
        if path is not None and not path.is_file():
            raise BadInput(f"there is no file {path}.")
    if args.mask is not None and args.source is None:
        raise BadInput("--mask says nothing without the file: name it with --source.")
    files = (None if path is None else path.read_bytes() for path in (args.source, args.mask))
    return Sent(picture=next(files), mask=next(files))


async def _remade(known: Known, record: Record, sent: Sent) -> Comparison:
    """With one worker and as many threads as made it.

    Raises:
        BadInput: What was sent cannot be read, or is not the one that the output was made from.
    """
    from genloom.serve.engine.pool import Pool
    from genloom.serve.problems import Problem
    from genloom.serve.reproduce import remake, wanted

    threads = int(record.origin.software.get("threads", 1))
    try:  # before a worker is started for nothing
        wanted(known, record, sent)
    except Problem as error:
        raise BadInput(str(error)) from error
    first = {known.name: known.first()}
    int8 = [known.name] if "int8" in record.origin.software else []
    folders = {known.name: known.folder}
    async with Pool(folders, workers=1, threads=threads, first=first, int8=int8) as pool:
        return await remake(pool, known, record, sent=sent)


def _kept(records: Records, record: Record) -> str:
    from hashlib import sha256

    from genloom.serve.store import NotFound

    try:
        content = records.stored(record)
    except NotFound:
        return "not there"
    return "as recorded" if sha256(content).hexdigest() == record.sha256 else "NOT AS RECORDED"
