"""Pictures to be marked: decoded once, changed, and written in the format that they came in.

A PNG stays exact. A JPEG and a lossy WebP are compressed once more, at `QUALITY`; better give PNGs.
"""

from __future__ import annotations

import io
from collections.abc import Callable

from PIL import Image, ImageOps, PngImagePlugin

from genloom.data.decode import MAX_PIXELS
from genloom.data.findings import BROKEN, one_line
from genloom.errors import BadInput

QUALITY = 95
_FORMATS = {"image/png": "PNG", "image/jpeg": "JPEG", "image/webp": "WEBP"}


def redrawn(data: bytes, media_type: str, change: Callable[[Image.Image], Image.Image]) -> bytes:
    """The picture after a change of its pixels; text chunks, EXIF and colour profile stay.

    Args:
        data: PNG, JPEG or WebP.
        media_type: Of it.
        change: From a grey (L) or RGB picture to another.

    Raises:
        BadInput: The picture is broken, animated, too large, or of another mode.
    """
    form = _FORMATS[media_type]
    try:
        with Image.open(io.BytesIO(data), formats=(form,)) as image:
            if image.width * image.height > MAX_PIXELS:
                raise BadInput(f"the picture has more than {MAX_PIXELS} pixels.")
            if getattr(image, "is_animated", False):
                raise BadInput("an animation takes labels and a signature only.")
            image.load()
            texts = dict(getattr(image, "text", {}))
            image = ImageOps.exif_transpose(image)  # a reader sees and tests it upright
    except BadInput:
        raise
    except (*BROKEN, Image.DecompressionBombError) as error:
        raise BadInput(f"the {media_type} cannot be decoded: {one_line(error)}.") from error
    if image.mode not in ("L", "RGB"):
        raise BadInput(
            f"a picture of mode {image.mode} takes labels and a signature only. "
            "Make it L or RGB first."
        )
    kept = {key: image.info[key] for key in ("exif", "icc_profile") if key in image.info}
    if form == "PNG":
        chunks = PngImagePlugin.PngInfo()
        for key, value in texts.items():
            chunks.add_itxt(key, value)
        kept["pnginfo"] = chunks
    else:
        exact = form == "WEBP" and b"VP8L" in data[12:64]
        kept |= {"lossless": True} if exact else {"quality": QUALITY}
        if "xmp" in image.info:
            kept["xmp"] = image.info["xmp"]
    out = io.BytesIO()
    change(image).save(out, form, **kept)
    return out.getvalue()
