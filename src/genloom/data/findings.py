"""What can be wrong with a file of data, each with a name."""

from __future__ import annotations

import lzma
import struct
import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from genloom.errors import BadInput

CODES: Mapping[str, str] = {
    # left out
    "empty": "the file has no bytes",
    "not_an_image": "the bytes are no picture in a known format",
    "truncated": "the file ends too early",
    "corrupt": "the bytes contradict their own format",
    "too_many_pixels": "the header promises more pixels than are allowed",
    "too_big": "the file has more bytes than are allowed",
    "unsupported": "a variant of the format that is not read",
    "not_finite": "values are NaN or infinite",
    "out_of_range": "values lie outside of what a picture can hold",
    "pickle": "the file asks for code to be run (pickle)",
    "lying_header": "the header does not fit the bytes that follow",
    "label_count": "there are more or fewer labels than items",
    "row_size": "the size is no multiple of a record",
    "zip_path": "an archive member would leave its folder",
    "zip_link": "an archive member is a link",
    "zip_ratio": "an archive or stream unpacks to far more than its size",
    "zip_members": "an archive holds too many members",
    "encrypted": "an archive member is encrypted",
    "nul": "a text file holds NUL characters",
    "not_utf8": "a text file is not UTF-8",
    "bad_json": "a line is no JSON object",
    "bad_document": "a row holds no text where it should",
    "bad_pair": "a row is no pair of answers to one prompt",
    "no_text": "a document holds no text",
    "no_molecule": "a document is no molecule that RDKit can read",
    "no_selfies": "a molecule has bonds that SELFIES cannot write",
    "too_long": "a molecule or a pair of documents needs more than a row has",
    "bad_csv": "the table cannot be read",
    "ragged_row": "a row has more or fewer cells than the header",
    "missing_file": "a row names a file that is not there",
    "missing_column": "a table lacks a column",
    "bad_parquet": "the file is no readable Parquet",
    "leak": "a training item equals an item of the official test part",
    "other_source": "a sound data file of another kind lies among the pictures",
    "empty_folder": "a folder holds no picture",
    "no_mate": "a picture lacks its mate of the same name",
    # kept
    "wrong_ending": "the name says another format than the bytes",
    "cmyk": "CMYK was converted to RGB",
    "sixteen_bit": "16 bits a channel were reduced to 8",
    "palette_transparency": "transparent palette colours were laid over white",
    "rotated": "turned as its EXIF orientation says",
    "animated": "only the first frame is used",
    "no_folder": "a picture lies beside the folders that tell classes or parts",
    "duplicate": "the same content as another item",
    "simplified": "notes were moved to the grid, or what a score has no place for was left out",
    "salt": "of several parts of a molecule the largest is used",
    "neutralised": "charges of a molecule were taken away",
    "charged": "a molecule keeps charges that hydrogen cannot take away",
}


@dataclass(frozen=True)
class Finding:
    """One thing that is worth knowing about one file.

    Args:
        path: Of the file, relative to the source.
        code: A key of `CODES`.
        reason: One line, with the value that is wrong.
        kept: Whether the item is used all the same.
    """

    path: str
    code: str
    reason: str
    kept: bool = False

    def __post_init__(self) -> None:
        assert self.code in CODES, self.code

    def as_dict(self) -> dict[str, Any]:
        """For JSON."""
        return asdict(self)


BROKEN = (
    OSError,
    SyntaxError,
    ValueError,
    TypeError,
    LookupError,
    EOFError,
    OverflowError,
    MemoryError,
    RuntimeError,
    struct.error,
    zlib.error,
    lzma.LZMAError,
    zipfile.BadZipFile,
)
"""What Pillow, NumPy and zipfile raise on bytes that contradict themselves."""


class Damaged(BadInput):
    """A file that cannot be used at all; a folder of pictures goes on without it."""

    def __init__(self, path: str, code: str, reason: str):
        super().__init__(printable(f"{path}: {CODES[code]} ({reason})."))
        self.finding = Finding(path, code, reason)


def printable(text: str) -> str:
    """File names may hold anything; what a terminal would obey or choke on is escaped."""
    return "".join(c if c.isprintable() else ascii(c)[1:-1] for c in text)


def one_line(error: BaseException) -> str:
    """What an error says, short enough for a table."""
    return " ".join(str(error).split())[:120] or type(error).__name__
