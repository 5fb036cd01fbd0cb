"""Make 25 files that break data loaders: `python scripts/make_hostile_files.py FOLDER`.

Each is damaged, dangerous or merely odd in one way; `genloom data check FOLDER` must name all 25.
"""

from __future__ import annotations

import gzip
import io
import lzma
import struct
import sys
import warnings
import zipfile
import zlib
from collections.abc import Callable
from pathlib import Path

import numpy as np
from PIL import Image

SIDE = 48


def picture(seed: int, mode: str = "RGB") -> Image.Image:
    """Smooth colours with some noise, 48x48."""
    rng = np.random.default_rng(seed)
    ramp = np.linspace(0, 200, SIDE)[None, :, None] * rng.uniform(0.3, 1, (1, 1, 3))
    pixels = ramp + rng.uniform(0, 55, (SIDE, SIDE, 3))
    return Image.fromarray(pixels.astype(np.uint8)).convert(mode)


def encoded(image: Image.Image, form: str, **options: object) -> bytes:
    """The bytes of an image file."""
    stream = io.BytesIO()
    image.save(stream, form, **options)
    return stream.getvalue()


def png_header(width: int, height: int) -> bytes:
    """A PNG that announces a size and holds a few bytes."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        check = struct.pack(">I", zlib.crc32(kind + data))
        return struct.pack(">I", len(data)) + kind + data + check

    header = struct.pack(">IIBBBBB", width, height, 8, 2, 0, 0, 0)
    content = chunk(b"IDAT", zlib.compress(b"\0" * 64))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", header) + content + chunk(b"IEND", b"")


def idx(shape: tuple[int, ...], values: bytes) -> bytes:
    """An IDX file, whatever its header says."""
    return struct.pack(f">BBBB{len(shape)}I", 0, 0, 8, len(shape), *shape) + values


def zipped(name: str, data: bytes, *, mode: int = 0o100644) -> bytes:
    """A zip archive of one member."""
    stream = io.BytesIO()
    info = zipfile.ZipInfo(name, (2020, 1, 1, 0, 0, 0))
    info.external_attr = mode << 16
    info.compress_type = zipfile.ZIP_DEFLATED
    with zipfile.ZipFile(stream, "w") as file:
        file.writestr(info, data)
    return stream.getvalue()


def encrypted_zip() -> bytes:
    """An archive whose member claims to be encrypted, in both of its headers."""
    data = bytearray(zipped("a.png", encoded(picture(0), "PNG")))
    for signature, offset in ((b"PK\x03\x04", 6), (b"PK\x01\x02", 8)):
        data[data.index(signature) + offset] |= 1
    return bytes(data)


def npz(**arrays: np.ndarray) -> bytes:
    """A NumPy archive; object arrays are pickled into it."""
    stream = io.BytesIO()
    np.savez(stream, allow_pickle=True, **arrays)
    return stream.getvalue()


def rotated() -> bytes:
    """A JPEG that lies on its side."""
    exif = Image.Exif()
    exif[0x0112] = 6
    return encoded(picture(4), "JPEG", exif=exif)


def animated() -> bytes:
    """A GIF of three frames."""
    frames = [picture(seed) for seed in (5, 6, 7)]
    return encoded(frames[0], "GIF", save_all=True, append_images=frames[1:])


def grey16() -> bytes:
    """A PNG of 16 bits a pixel."""
    values = np.arange(SIDE * SIDE, dtype=np.uint16).reshape(SIDE, SIDE) * 28
    return encoded(Image.fromarray(values), "PNG")


def nan_npz() -> bytes:
    """Pictures with one value that is no number."""
    x = np.zeros((4, 8, 8), np.float32)
    x[2, 3, 4] = np.nan
    return npz(x=x)


def object_npz() -> bytes:
    """An array of objects, that is, a pickle."""
    x = np.empty(2, object)
    x[:] = [{"a": 1}, None]
    return npz(x=x)


JPEG = encoded(picture(1), "JPEG", quality=90)
IDX = idx((20, 12, 12), np.random.default_rng(0).bytes(20 * 12 * 12))
RECORDS = np.random.default_rng(1).integers(0, 10, 3073 * 3, np.uint8).tobytes()

FILES: dict[str, tuple[str, Callable[[], bytes]]] = {
    "truncated.jpg": ("truncated", lambda: JPEG[: len(JPEG) // 2]),
    "empty.png": ("empty", bytes),
    "text_called.png": ("not_an_image", lambda: b"This is no picture, it is a letter.\n"),
    "png_called.jpg": ("wrong_ending", lambda: encoded(picture(2), "PNG")),
    "bomb.png": ("too_many_pixels", lambda: png_header(60_000, 60_000)),
    "cmyk.jpg": ("cmyk", lambda: encoded(picture(3, "CMYK"), "JPEG")),
    "grey16.png": ("sixteen_bit", grey16),
    "palette.png": (
        "palette_transparency",
        lambda: encoded(picture(8).quantize(16), "PNG", transparency=3),
    ),
    "rotated.jpg": ("rotated", rotated),
    "animated.gif": ("animated", animated),
    "nan.npz": ("not_finite", nan_npz),
    "object.npz": ("pickle", object_npz),
    "lying-images-idx3-ubyte": ("lying_header", lambda: idx((60_000, 28, 28), b"\7" * 500)),
    "cut-images-idx3-ubyte.gz": ("truncated", lambda: gzip.compress(IDX, mtime=0)[:-200]),
    "cut_batch.bin.xz": ("truncated", lambda: lzma.compress(RECORDS)[:-40]),
    "row_size.bin": ("row_size", lambda: RECORDS[:-17]),
    "slip.zip": ("zip_path", lambda: zipped("../../slipped.png", encoded(picture(0), "PNG"))),
    "link.zip": ("zip_link", lambda: zipped("link.png", b"/etc/passwd", mode=0o120777)),
    "ratio.zip": ("zip_ratio", lambda: zipped("zeros.bmp", bytes(20 * 2**20))),
    "encrypted.zip": ("encrypted", encrypted_zip),
    "metadata.csv": ("nul", lambda: b"file_name,text\ncmyk.jpg,a\0b\n"),
    "metadata.jsonl": ("missing_file", lambda: b'{"file_name": "gone.png", "text": "a ghost"}\n'),
    "labels.csv": ("ragged_row", lambda: b"file,label\ncmyk.jpg,a\nrotated.jpg,b,c\n"),
    "latin1.txt": ("not_utf8", lambda: "caf\xe9\n".encode("latin-1")),
    "garbage.parquet": ("bad_parquet", lambda: b"PAR1" + bytes(range(64)) + b"PAR1"),
}
"""Name -> (code of the finding, maker of the bytes)."""


def make(folder: Path) -> dict[str, str]:
    """Write the files; returns name -> code of the finding that is due."""
    folder.mkdir(parents=True, exist_ok=True)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # an encoder's remarks on what is made wrong on purpose
        for name, (_, content) in FILES.items():
            (folder / name).write_bytes(content())
    return {name: code for name, (code, _) in FILES.items()}


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit("usage: python scripts/make_hostile_files.py FOLDER")
    for made, due in make(Path(sys.argv[1])).items():
        print(f"{made:28} {due}")
