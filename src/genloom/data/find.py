"""Say what a path holds, by its content, and give it to the reader that knows it."""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from genloom.data.arrays import cifar_source, idx_source, label_name, npz_source
from genloom.data.builtin import BUILTIN, builtin_source
from genloom.data.decode import ENDINGS, foreign, looks_like_image
from genloom.data.documents import ROWS, Unit, table_documents, text_documents
from genloom.data.findings import Damaged, Finding
from genloom.data.images import image_source
from genloom.data.molecules import ENDINGS as SMILES
from genloom.data.music import MIDI, chorale_source, midi_source
from genloom.data.source import Source
from genloom.data.tables import dataset_source, parquet_source
from genloom.data.text import as_table, text_source
from genloom.data.trees import Folder, hidden, open_zip
from genloom.errors import BadInput, MissingExtra, nearest
from genloom.music.chorales import looks_like_chorales

_HELP = (
    "a folder or zip of images or MIDI, IDX, .npz, CIFAR .bin, Parquet, a datasets folder, text: "
    ".txt, .smi, .jsonl, .json, .csv, and chorales as .json"
)
_PROSE = ("readme", "license", "licence", "authors", "copying", "notice", "requirements")


@dataclass(frozen=True)
class Wanted:
    """What is to be read of data, where they leave a choice.

    Args:
        captions: Columns of tables beside pictures.
        texts: Columns of tables of text; see `turns.chosen_columns`.
        unit: What a document of text files is. None: one file is one running text, and where there
            are several each is a document.
    """

    captions: tuple[str, ...] = ()
    texts: tuple[str, ...] = ()
    unit: Unit | None = None


USUAL = Wanted()


def files_of(path: Path) -> list[Path]:
    """The files that a source consists of, for its fingerprint."""
    if path.is_dir():
        return [path / name for name in Folder(path).names]
    mate = path.with_name(label_name(path.name))
    return [path, mate] if mate != path and mate.is_file() else [path]


def locate(source: str | os.PathLike[str]) -> Path:
    """The path, if there is something.

    Raises:
        BadInput: There is nothing; names the built-in data sets.
    """
    path = Path(source).expanduser()
    if not path.exists():
        hint = nearest(str(source), BUILTIN)
        raise BadInput(f"There is no data set or path {str(source)!r}{hint}")
    return path


def find(source: str | os.PathLike[str], wanted: Wanted = USUAL) -> Source:
    """A reader for a built-in data set or a path.

    Raises:
        BadInput: Nothing there that can be read, or nothing with such columns.
    """
    if str(source) in BUILTIN:
        found = builtin_source(str(source))
    else:
        path = locate(source)
        found = _folder(path, wanted) if path.is_dir() else _file(path, wanted)
    if found.columns != wanted.captions:
        raise BadInput(
            f"caption_column names columns of a table beside pictures, and {source} is of another "
            f"form ({found.form}): leave it out."
        )
    if found.texts != wanted.texts:
        raise BadInput(
            f"text_column names columns of a table of text, and {source} is of another form "
            f"({found.form}): leave it out."
        )
    if wanted.unit and found.unit != wanted.unit:
        raise BadInput(
            f"document = {wanted.unit!r} is for text files, and {source} is of another form "
            f"({found.form}): leave it out."
        )
    return found


def inspect(path: Path) -> Finding:
    """What is to be said of a data file that lies among pictures.

    Raises:
        Damaged: It is damaged.
    """
    try:
        source = _file(path)
    except MissingExtra as absent:
        return Finding(path.name, "other_source", f"not looked at: {absent}")
    for _ in source.entries([]):
        pass
    return Finding(path.name, "other_source", f"{source.form}; give its own path to use it")


def _file(path: Path, wanted: Wanted = USUAL) -> Source:
    with path.open("rb") as file:
        head = file.read(64)
    if not head:
        raise Damaged(path.name, "empty", "0 bytes")
    if looks_like_chorales(head):
        return chorale_source(path)
    head = head[:16]
    name = path.name.lower()
    if head[:4] == b"PAR1" or name.endswith(".parquet"):
        return parquet_source([path], wanted.texts)
    if head[:2] == b"PK" or name.endswith((".npz", ".zip")):
        return _zip(path, wanted)
    head = _first_bytes(path, 16)
    if name.endswith(SMILES):
        return text_documents([path], wanted.unit or "line")
    if head[:3] == b"\0\0\x08" or "-ubyte" in name:
        mate = path.with_name(label_name(path.name))
        return idx_source([path], [mate] if mate != path and mate.is_file() else [])
    if ".bin" in name:
        return cifar_source([path])
    if head[:4] == b"MThd" or name.endswith(MIDI):
        return midi_source(path)
    if foreign(name):
        raise Damaged(path.name, "unsupported", foreign(name))
    if looks_like_image(head) or path.suffix.lower() in ENDINGS:
        raise BadInput(f"{path} is one picture; give the folder that holds many.")
    if name.removesuffix(".gz").removesuffix(".xz").endswith(ROWS):
        return table_documents([path], wanted.texts)
    if ".txt" in name or _is_text(head):
        return _prose(path, wanted)
    raise Damaged(path.name, "unsupported", f"starts with {head[:8]!r}; read are {_HELP}")


def _prose(path: Path, wanted: Wanted) -> Source:
    source = text_documents([path], wanted.unit) if wanted.unit else text_source(path)
    with suppress(Damaged):  # who reads on will find that
        source.notes += as_table(_first_bytes(path, 2**14))
    return source


def _zip(path: Path, wanted: Wanted = USUAL) -> Source:
    with open_zip(path) as file:
        names = [name for name in file.namelist() if not name.endswith("/")]
    if names and all(name.endswith(".npy") for name in names):
        return npz_source([path])
    if any(name.lower().endswith(MIDI) for name in names):
        return midi_source(path)
    return image_source(path, inspect, wanted.captions)


def _first_bytes(path: Path, n: int) -> bytes:
    """The first n bytes of a file, of what is in it where it is gzip or xz."""
    with path.open("rb") as file:
        magic = file.read(6)
    opener: Callable[..., Any] = gzip.open if magic[:2] == b"\x1f\x8b" else open
    opener = lzma.open if magic == b"\xfd7zXZ\0" else opener
    try:
        with opener(path, "rb") as stream:
            return stream.read(n)
    except EOFError:
        raise Damaged(path.name, "truncated", "within the first bytes") from None
    except (OSError, zlib.error, lzma.LZMAError) as error:
        raise Damaged(path.name, "corrupt", str(error)) from None


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)


def _folder(path: Path, wanted: Wanted) -> Source:
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return dataset_source(path, wanted.texts)
    tree = Folder(path)
    lower = {name: name.lower() for name in tree.names}
    if any(low.endswith(tuple(ENDINGS)) for low in lower.values()):
        return image_source(path, inspect, wanted.captions)

    def ending(*endings: str) -> list[Path]:
        return [path / name for name, low in lower.items() if low.endswith(endings)]

    idx = ending("-ubyte", "-ubyte.gz", ".idx", ".idx.gz")
    if idx:
        labels = [file for file in idx if "labels" in file.name.lower()]
        return idx_source([file for file in idx if file not in labels], labels)
    if records := ending(".bin", ".bin.gz", ".bin.xz"):
        return cifar_source(records)
    if arrays := ending(".npz"):
        return npz_source(arrays)
    if tables := ending(".parquet"):
        return parquet_source(tables, wanted.texts)
    if archives := ending(".zip"):
        if len(archives) == 1:
            return _zip(archives[0], wanted)
        names = ", ".join(file.name for file in archives[:3])
        raise BadInput(f"{path} holds {len(archives)} archives ({names} ...); give one of them.")
    if ending(*MIDI):
        return midi_source(path)
    if rows := ending(*(f"{end}{packed}" for end in ROWS for packed in ("", ".gz", ".xz"))):
        return _file(rows[0], wanted) if len(rows) == 1 else table_documents(rows, wanted.texts)
    if molecules := ending(*SMILES):
        return text_documents(molecules, wanted.unit or "line")
    if texts := _texts(path, lower):
        if len(texts) == 1:
            return _prose(texts[0], wanted)
        return text_documents(texts, wanted.unit or "file")
    if any(foreign(name) or looks_like_image(tree.head(name, 16)) for name in tree.names):
        return image_source(path, inspect, wanted.captions)
    raise BadInput(f"{path} holds {len(tree.names)} files but no data; read are {_HELP}.")


def _texts(path: Path, lower: dict[str, str]) -> list[Path]:
    names = [name for name, low in lower.items() if low.endswith(".txt") and not hidden(name)]
    return [path / name for name in names if not Path(name).stem.lower().startswith(_PROSE)]
