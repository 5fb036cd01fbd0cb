"""Say what a path holds, by its content, and give it to the reader that knows it."""

from __future__ import annotations

import gzip
import lzma
import os
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

from genloom.data.arrays import cifar_source, idx_source, label_name, npz_source
from genloom.data.builtin import BUILTIN, builtin_source
from genloom.data.decode import ENDINGS, looks_like_image
from genloom.data.findings import Damaged, Finding
from genloom.data.images import image_source
from genloom.data.source import Source
from genloom.data.tables import dataset_source, parquet_source
from genloom.data.text import text_source
from genloom.data.trees import Folder, hidden, open_zip
from genloom.errors import BadInput, MissingExtra, nearest

_HELP = "a folder or zip of images, IDX, .npz, CIFAR .bin, Parquet, a datasets folder or .txt"
_PROSE = ("readme", "license", "licence", "authors", "copying", "notice", "requirements")


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


def find(source: str | os.PathLike[str], columns: tuple[str, ...] = ()) -> Source:
    """A reader for a built-in data set or a path.

    Args:
        source: A name or a path.
        columns: Of tables beside pictures, for captions.

    Raises:
        BadInput: Nothing there that can be read, or nothing with such columns.
    """
    if str(source) in BUILTIN:
        found = builtin_source(str(source))
    else:
        path = locate(source)
        found = _folder(path, columns) if path.is_dir() else _file(path, columns)
    if found.columns != columns:
        raise BadInput(
            f"caption_column names columns of a table beside pictures, and {source} is of another "
            f"form ({found.form}): leave it out."
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


def _file(path: Path, columns: tuple[str, ...] = ()) -> Source:
    with path.open("rb") as file:
        head = file.read(16)
    if not head:
        raise Damaged(path.name, "empty", "0 bytes")
    name = path.name.lower()
    if head[:4] == b"PAR1" or name.endswith(".parquet"):
        return parquet_source([path])
    if head[:2] == b"PK" or name.endswith((".npz", ".zip")):
        return _zip(path, columns)
    if head[:2] == b"\x1f\x8b" or head[:6] == b"\xfd7zXZ\0":
        head = _first_bytes(path, gzip.open if head[:2] == b"\x1f\x8b" else lzma.open)
    if head[:3] == b"\0\0\x08" or "-ubyte" in name:
        mate = path.with_name(label_name(path.name))
        return idx_source([path], [mate] if mate != path and mate.is_file() else [])
    if ".bin" in name:
        return cifar_source([path])
    if looks_like_image(head) or path.suffix.lower() in ENDINGS:
        raise BadInput(f"{path} is one picture; give the folder that holds many.")
    if ".txt" in name or _is_text(head):
        return text_source(path)
    raise Damaged(path.name, "unsupported", f"starts with {head[:8]!r}; read are {_HELP}")


def _zip(path: Path, columns: tuple[str, ...] = ()) -> Source:
    with open_zip(path) as file:
        names = [name for name in file.namelist() if not name.endswith("/")]
    if names and all(name.endswith(".npy") for name in names):
        return npz_source([path])
    return image_source(path, inspect, columns)


def _first_bytes(path: Path, opener: Callable[..., Any]) -> bytes:
    try:
        with opener(path, "rb") as stream:
            return stream.read(16)
    except EOFError:
        raise Damaged(path.name, "truncated", "within the first bytes") from None
    except (OSError, zlib.error, lzma.LZMAError) as error:
        raise Damaged(path.name, "corrupt", str(error)) from None


def _is_text(head: bytes) -> bool:
    return all(byte >= 32 or byte in b"\t\n\r\f" for byte in head)


def _folder(path: Path, columns: tuple[str, ...]) -> Source:
    if (path / "dataset_dict.json").is_file() or (path / "state.json").is_file():
        return dataset_source(path)
    tree = Folder(path)
    lower = {name: name.lower() for name in tree.names}
    if any(low.endswith(tuple(ENDINGS)) for low in lower.values()):
        return image_source(path, inspect, columns)

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
        return parquet_source(tables)
    for found, read in ((ending(".zip"), _zip), (_texts(path, lower), text_source)):
        if len(found) == 1:
            return read(found[0])
        if found:
            names = ", ".join(file.name for file in found[:3])
            raise BadInput(f"{path} holds {len(found)} data files ({names} ...); give one of them.")
    if any(looks_like_image(tree.head(name, 16)) for name in tree.names):
        return image_source(path, inspect, columns)
    raise BadInput(f"{path} holds {len(tree.names)} files but no data; read are {_HELP}.")


def _texts(path: Path, lower: dict[str, str]) -> list[Path]:
    names = [name for name, low in lower.items() if low.endswith(".txt") and not hidden(name)]
    return [path / name for name in names if not Path(name).stem.lower().startswith(_PROSE)]
