"""From the bytes of a picture to uint8 (C, H, W), by stated rules.

The format is told by the bytes, not by the name. Every picture is decoded to its last row.

- Grey (1, L, 16-bit) stays grey, (1, H, W); everything else becomes RGB, (3, H, W).
- Transparency (RGBA, LA, palette, tRNS) is composed over white.
- 16 bits become 8 by v / 257, rounded. Floating-point pixels are refused.
- CMYK, YCbCr, LAB and HSV become RGB by Pillow's formulas; colour profiles are ignored.
- The picture is turned as its EXIF orientation says. Of an animation, the first frame counts.
- AVIF is read where Pillow can; HEIC and the raw photos of cameras are refused by name.
- A header with more than `MAX_PIXELS` pixels is refused before anything is decoded.
"""

from __future__ import annotations

import io
import warnings
from pathlib import PurePosixPath

import numpy as np
from PIL import Image, ImageOps, UnidentifiedImageError, features

from genloom.data.findings import BROKEN, Damaged, Finding, one_line

MAX_PIXELS = 2**26
MAX_BYTES = 2**28
_AVIF = ("AVIF",) if "avif" in features.modules and features.check("avif") else ()
_FORMATS = ("PNG", "JPEG", "GIF", "BMP", "PPM", "WEBP", "TIFF", *_AVIF)
_ENDINGS = {
    ".png": ("PNG",),
    ".jpg": ("JPEG", "MPO"),
    ".jpeg": ("JPEG", "MPO"),
    ".gif": ("GIF",),
    ".bmp": ("BMP",),
    ".webp": ("WEBP",),
    ".tif": ("TIFF",),
    ".tiff": ("TIFF",),
    ".pgm": ("PPM",),
    ".ppm": ("PPM",),
    ".pbm": ("PPM",),
    **dict.fromkeys((".avif",) if _AVIF else (), _AVIF),
}
ENDINGS = frozenset(_ENDINGS)
RAW = frozenset(
    (".3fr", ".arw", ".cr2", ".cr3", ".dng", ".nef", ".nrw", ".orf", ".pef", ".raf", ".rw2", ".srw")
)
_HEIF = (b"ftyphei", b"ftyphev", b"ftypmif1", b"ftypmsf1", b"ftypavi")  # from the fifth byte on
_MAGIC = (b"\x89PNG\r\n", b"\xff\xd8\xff", b"GIF8", b"BM", b"II*\0", b"MM\0*")
_ORIENTATION = 0x0112


def looks_like_image(head: bytes) -> bool:
    """Whether a file that starts with these bytes (16 are enough) is a picture."""
    return head.startswith(_MAGIC) or (head[:4] == b"RIFF" and head[8:12] == b"WEBP")


def foreign(name: str) -> str:
    """What a photo is that is not read, by its ending, and what to do; "" of other files.

    A raw one often is TIFF, whose first picture is a thumbnail.
    """
    ending = name[name.rfind(".") :].lower()
    raw, packed = ending in RAW, ending in (".heic", ".heif", ".avif") and ending not in ENDINGS
    kind = "a raw photo" if raw else f"a photo in {ending[1:].upper()}" if packed else ""
    return kind and f"{kind}: convert it to PNG or JPEG"


def decode(data: bytes, name: str, findings: list[Finding]) -> np.ndarray:
    """Decode one picture fully.

    Args:
        data: The whole file.
        name: For findings, and to compare its ending with the content.
        findings: Grows by what was converted.

    Returns:
        uint8, (1, H, W) or (3, H, W).

    Raises:
        Damaged: The picture cannot be used.
    """
    if not data:
        raise Damaged(name, "empty", "0 bytes")
    notes: list[tuple[str, str]] = []
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            warnings.simplefilter("ignore", UserWarning)  # of odd, harmless metadata
            with Image.open(io.BytesIO(data), formats=_FORMATS) as image:
                pixels = _pixels(image, name, notes)
    except UnidentifiedImageError:
        if data[4:].startswith(_HEIF):
            raise Damaged(name, "unsupported", foreign(".heic")) from None
        code = "corrupt" if looks_like_image(data[:16]) else "not_an_image"
        raise Damaged(name, code, f"starts with {data[:8]!r}") from None
    except (Image.DecompressionBombError, Image.DecompressionBombWarning):
        raise Damaged(name, "too_many_pixels", f"more than {MAX_PIXELS}") from None
    except Damaged:
        raise
    except BROKEN as error:
        early = "truncated" in str(error).lower() or isinstance(error, EOFError)
        raise Damaged(name, "truncated" if early else "corrupt", one_line(error)) from None
    findings.extend(Finding(name, code, reason, kept=True) for code, reason in notes)
    return pixels


def _pixels(image: Image.Image, name: str, notes: list[tuple[str, str]]) -> np.ndarray:
    width, height = image.size
    if width * height > MAX_PIXELS:
        raise Damaged(name, "too_many_pixels", f"{width}x{height}, at most {MAX_PIXELS} allowed")
    ending = PurePosixPath(name).suffix.lower()
    if image.format not in _ENDINGS.get(ending, (image.format,)):
        notes.append(("wrong_ending", f"{image.format} content called {ending}"))
    if getattr(image, "is_animated", False) and image.format != "MPO":
        notes.append(("animated", "the first frame is used"))
        image.seek(0)
    image.load()
    orientation = image.getexif().get(_ORIENTATION, 1)
    if orientation != 1:
        notes.append(("rotated", f"EXIF orientation {orientation}"))
        image = ImageOps.exif_transpose(image)
    array = np.asarray(_flatten(image, name, notes))
    return array[None] if array.ndim == 2 else np.ascontiguousarray(array.transpose(2, 0, 1))


def _flatten(image: Image.Image, name: str, notes: list[tuple[str, str]]) -> Image.Image:
    """Grey (L) or RGB, 8 bits, no transparency."""
    mode = image.mode
    if mode == "F":
        raise Damaged(name, "unsupported", "floating-point pixels; save as 8 or 16 bits")
    if mode == "I" or mode.startswith("I;16"):
        values = np.asarray(image).astype(np.int64)
        if values.min() < 0 or values.max() > 65535:
            raise Damaged(name, "out_of_range", f"{values.min()} to {values.max()}, not 16 bits")
        notes.append(("sixteen_bit", "16 bits, reduced to 8"))
        return Image.fromarray(((values + 128) // 257).astype(np.uint8))
    if image.has_transparency_data:
        if mode in ("P", "PA"):
            notes.append(("palette_transparency", "transparent palette colours laid over white"))
        white = Image.new("RGBA", image.size, (255, 255, 255, 255))
        image = Image.alpha_composite(white, image.convert("RGBA"))
    if mode == "CMYK":
        notes.append(("cmyk", "CMYK, converted to RGB"))
    return image.convert("L" if mode in ("1", "L", "LA", "La") else "RGB")


def conform(pixels: np.ndarray, channels: int | None, size: int | None) -> np.ndarray:
    """Bring (C, H, W) to the wanted channels, and to size x size.

    RGB becomes grey by ITU-R 601 luma, grey becomes RGB by repetition. The largest centred square
    is resized by an antialiased bicubic filter: the shorter side fits, the longer one is cropped.
    """
    c, h, w = pixels.shape
    if size is not None and (h, w) != (size, size):
        side = min(h, w)
        box = ((w - side) / 2, (h - side) / 2, (w + side) / 2, (h + side) / 2)
        image = Image.fromarray(pixels[0] if c == 1 else pixels.transpose(1, 2, 0))
        image = image.resize((size, size), Image.Resampling.BICUBIC, box=box)
        array = np.asarray(image)
        pixels = array[None] if c == 1 else array.transpose(2, 0, 1)
    if channels == 1 and c == 3:
        pixels = np.asarray(Image.fromarray(pixels.transpose(1, 2, 0)).convert("L"))[None]
    if channels == 3 and c == 1:
        pixels = np.repeat(pixels, 3, axis=0)
    return np.ascontiguousarray(pixels)
