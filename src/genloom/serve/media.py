"""Items as bytes that other programs read, each with a media type from this table alone."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping

from PIL import Image, PngImagePlugin
from torch import Tensor

from genloom.codecs.files import to_picture
from genloom.codecs.text import FILES, noted
from genloom.core import Items
from genloom.serve.problems import Problem

TEXT = {"txt": "text/plain; charset=utf-8", "json": "application/json"}
# Medium -> format -> media type; the first is the default.
FORMATS: dict[str, dict[str, str]] = {
    "image": {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp"},
    "points": {"json": "application/json", "csv": "text/csv; charset=utf-8"},
    "text": TEXT,
    "music": {"mid": "audio/midi", "wav": "audio/wav", **TEXT},
    "molecule": {"smi": "chemical/x-daylight-smiles", "svg": "image/svg+xml", **TEXT},
}
ENDINGS = {"jpeg": "jpg"}


def media_type(medium: str, form: str | None) -> tuple[str, str]:
    """The format (None: the medium's default) and its media type.

    Raises:
        Problem: Items of this medium have no such format.
    """
    known = FORMATS[medium]
    form = form or next(iter(known))
    if form not in known:
        raise Problem(
            400,
            f"{medium} items are {' or '.join(known)}, not {form[:30]!r}.",
            param="format",
        )
    return form, known[form]


def form_of(media_type: str) -> str:
    """The format that has this media type."""
    plain = media_type.partition(";")[0]
    every = (pair for formats in FORMATS.values() for pair in formats.items())
    return next((form for form, known in every if known.partition(";")[0] == plain), "bin")


def encode(
    item: Tensor,
    items: Items,
    form: str,
    record: Mapping[str, str],
    *,
    size: tuple[int, int] | None = None,
    quality: int = 90,
) -> bytes:
    """One item as a file.

    Args:
        item: As stored, items.shape.
        items: What it is.
        form: Of `FORMATS`.
        record: What makes it again; in a PNG's text chunks, and in the JSON forms.
        size: (width, height) of a picture, to which it is resized; None leaves it as it is.
        quality: Of a JPEG or a WebP, 0 to 100.
    """
    if items.kind == "image":
        return _picture(to_picture(item), form, record, size, quality)
    if items.kind == "text":
        text, made = items.read(item), (FILES["text"] | FILES[items.medium]).get(f".{form}")
        if made is not None:
            return made(text, items.lexicon)
        told = {"text": text, **noted(items, text), "record": dict(record)}
        return json.dumps(told, ensure_ascii=False).encode()
    values = item.tolist()
    if form == "json":
        return json.dumps({"values": values, "record": dict(record)}).encode()
    header = ",".join(f"x{i}" for i in range(len(values)))
    return f"{header}\n{','.join(map(repr, values))}\n".encode()


def _picture(
    picture: Image.Image,
    form: str,
    record: Mapping[str, str],
    size: tuple[int, int] | None,
    quality: int,
) -> bytes:
    if size is not None and size != picture.size:
        picture = picture.resize(size, Image.Resampling.LANCZOS)
    out = io.BytesIO()
    if form == "png":
        chunks = PngImagePlugin.PngInfo()
        for key, value in record.items():
            chunks.add_itxt(key, value)
        picture.save(out, "PNG", pnginfo=chunks)
    else:
        picture.save(out, form.upper(), quality=quality)
    return out.getvalue()


def file_name(record_id: str, form: str) -> str:
    """A name for a download."""
    return f"{record_id}.{ENDINGS.get(form, form)}"
