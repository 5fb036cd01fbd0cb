"""What callers send as data: pictures, music, texts, numbers, in the form of a model's items."""

from __future__ import annotations

import base64
import binascii
import io
import json
import math
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from genloom import masks
from genloom.codecs.voices import Voices
from genloom.core import Items
from genloom.data.decode import conform, decode
from genloom.data.findings import BROKEN, Damaged
from genloom.errors import BadInput
from genloom.given import fit, kind_of
from genloom.lexicon import is_text
from genloom.music import midi
from genloom.music.notes import Score, Unreadable
from genloom.music.voices import REST, grid, pitch_of
from genloom.serve.problems import Problem

MOST_PIXELS = 2**23
MOST_BYTES = 2**23  # of a picture
MASKS = ("PNG", "WEBP", "GIF")  # files that have transparency
MOST_MIDI = 2**18  # of a MIDI file: reading so much takes about a second
CUT_OFF = "with what was written the piece has more words than an item: the voices were cut off"
CHANGED = "beside what was written the model's words say other notes than those that stay"


def picture(data: bytes, items: Items, param: str = "image") -> Tensor:
    """A file as an item, uint8 (C, H, W): its largest centred square, resized as for training.

    Raises:
        Problem: It is no picture that can be read, or too large; nothing of it was decoded then.
    """
    _, height, width = items.shape
    pixels = _pixels(data, param)
    if height != width:
        image = Image.fromarray(pixels.transpose(1, 2, 0).squeeze())
        shown = np.asarray(image.resize((width, height), Image.Resampling.BICUBIC))
        pixels = shown[None] if shown.ndim == 2 else shown.transpose(2, 0, 1)
    size = height if height == width else None
    return torch.from_numpy(np.array(conform(pixels, items.shape[0], size)))


def source(data: bytes, items: Items, param: str = "source") -> Tensor:
    """A file as the source of a model that was given sources, uint8 (C, H, W).

    Fitted as by `genloom.given.asked`, so that the samples are those of `Artifact.sample`.

    Raises:
        Problem: It is no picture that can be read, or too large; nothing of it was decoded then.
    """
    pixels = torch.from_numpy(np.array(_pixels(data, param)))[None]
    return fit(pixels, items.shape, enlarge=kind_of(items.given).enlarge)[0]


def hole(data: bytes, items: Items, param: str = "mask", *, of: bytes | None = None) -> Tensor:
    """`mask` for the same models, bool (H, W): fitted as the source beside it is.

    Raises:
        Problem: It is no picture, or leaves nothing to change; or as for `mask`.
    """
    light, opaque = _mask(data, param, of)
    with _refused(param, "empty_mask"):
        return masks.fitted(light, opaque, items.shape[1:])[0, 0]


def mask(data: bytes, items: Items, param: str = "mask", *, of: bytes | None = None) -> Tensor:
    """Where a picture may change, bool (H, W): see `genloom.masks`.

    Args:
        data: The file of the mask.
        items: What the model makes.
        param: What errors call it.
        of: The file of the picture that it is for; None: its form is not looked at.

    Raises:
        Problem: It is no picture, is not of the form of that picture, or leaves nothing to change.
    """
    _, height, width = items.shape
    found, opaque = _mask(data, param, of)
    image = Image.fromarray(found[0, 0].numpy())
    side = min(image.size)
    left, top = (image.width - side) / 2, (image.height - side) / 2
    box = (left, top, left + side, top + side) if height == width else None
    shown = np.asarray(image.resize((width, height), Image.Resampling.BOX, box=box)) > 127
    with _refused(param, "empty_mask"):
        return masks.some(torch.from_numpy(~shown if opaque else shown))


def music(data: bytes, param: str) -> Score:
    """A MIDI file as a score.

    Raises:
        Problem: It is no music that can be read, or too large.
    """
    try:
        if len(data) > MOST_MIDI:
            raise Unreadable("too_big", f"{len(data)} bytes, at most {MOST_MIDI}")
        return midi.read(data)[0]
    except Unreadable as error:
        text = f"{param} is no music that can be read: {error.reason}."
        raise Problem(400, text, param=param, code="invalid_value") from None


def voices(data: bytes, codec: Voices, param: str = "source") -> tuple[Tensor, Tensor]:
    """A MIDI file as an item (L,), and which places of its grid are to be written, bool (V, F).

    Its tracks that are no drums are the first voices, from the top; the others are written, as long
    as the piece is. A voice has one note at a time, and begins and ends it on the model's frames.

    Raises:
        Problem: It is no music that can be read, has no voice or no place for another, is longer
            than an item, or has what the model has no words for; or the model has none for a voice
            that it is to write.
    """

    def refused(text: str) -> Problem:
        return Problem(400, f"{param} {text}", param=param, code="invalid_value")

    most, frames, score = *codec.space.shape, music(data, param)
    if codec.sayable < most:
        raise refused(
            f"cannot be written to: the data of this model had {codec.sayable} tracks, so that it "
            f"has no words for {most} voices. Train one with codec.voices={codec.sayable}."
        )
    tracks, size = score.pitched, -(-score.end // codec.span)
    if not 0 < len(tracks) < most:
        raise refused(f"has {len(tracks)} tracks with notes: from 1 to {most - 1} can stay.")
    if size > frames:
        raise refused(f"has {size} frames, and an item of this model {frames}: shorten it.")
    cells = torch.full((most, frames), REST)
    cells[: len(tracks)] = grid(tracks, codec.span, frames)
    x = codec.tokens(cells)
    if (cells[: len(tracks)] == REST).all(1).any():
        raise refused(f"has a track that rests at the start of each frame ({codec.span} steps).")
    if not torch.equal(codec.cells(x), cells):
        strange = pitch_of(cells)[codec.cells(x) != cells].unique().tolist()
        raise refused(f"has pitches that the model's data had not: {strange[:8]}.")
    item = codec.decode(x[None])[0]
    if spoilt(item, x[: len(tracks)], codec):
        raise refused(
            "has lengths that the model's data had not, or more notes than an item holds: "
            "genloom edit keeps such a piece note for note."
        )
    free = torch.zeros(most, frames, dtype=torch.bool)
    free[len(tracks) :, :size] = True
    return item, free


def spoilt(item: Tensor, x: Tensor, codec: Voices) -> str | None:
    """Why an item's first voices are not those of tokens (voices, F); None where they are."""
    found = codec.encode(item[None])[0, : len(x)]
    if torch.equal(found, x):
        return None
    return CUT_OFF if (codec.cells(found)[found != x] == REST).all() else CHANGED


def _pixels(data: bytes, param: str) -> np.ndarray:
    """uint8 (C, h, w), as it is."""
    measure(data, param)
    try:
        return decode(data, param, [])
    except Damaged as error:
        raise Problem(400, f"{param}: {error}", param=param, code="invalid_image") from error


def _mask(data: bytes, param: str, of: bytes | None) -> tuple[Tensor, bool]:
    """As `masks.read` gives it."""
    measure(data, param)
    with Image.open(io.BytesIO(data)) as opened:
        if opened.format not in MASKS:
            text = f"{param} is not a PNG, WebP or GIF that can be read."
            raise Problem(400, text, param=param, code="invalid_image")
    with _refused(param, "invalid_image"):
        found, opaque = masks.read(data, param)
    if of is not None:
        with _refused(param, "invalid_value"):
            masks.check_form(masks.size_of(found), masks.size_in(of))
    return found, opaque


@contextmanager
def _refused(param: str, code: str) -> Iterator[None]:
    """What the library refuses, as the server says it."""
    try:
        yield
    except BadInput as error:
        raise Problem(400, str(error), param=param, code=code) from error


def rows(inputs: Sequence[str], items: Items) -> Tensor:
    """Texts that carry data, as items (n, *items.shape).

    Args:
        inputs: Pictures in base64 or as data: URLs; points as JSON lists of numbers; texts.
        items: Of the model.

    Raises:
        Problem: One of them is not that; which one is said.
    """
    if items.kind == "text":
        return torch.stack([document(one, items, f"input.{i}") for i, one in enumerate(inputs)])
    if items.kind != "image":
        return torch.stack([_point(text, items, f"input.{i}") for i, text in enumerate(inputs)])
    files = [bytes_of(text, f"input.{i}") for i, text in enumerate(inputs)]
    pixels = sum(measure(data, f"input.{i}") for i, data in enumerate(files))
    if pixels > MOST_PIXELS:
        text = f"input has {pixels} pixels: at most {MOST_PIXELS} in all."
        raise Problem(400, text, param="input", code="image_too_large")
    return torch.stack([picture(data, items, f"input.{i}") for i, data in enumerate(files)])


def document(said: str, items: Items, param: str = "text") -> Tensor:
    """A text as an item, int64 (L,): a document, closed and filled up with ends.

    Raises:
        Problem: It has what the model's lexicon has not, or more or less than an item holds.
    """
    lexicon, (length,) = items.lexicon, items.shape
    assert lexicon is not None
    if not is_text(said):
        why = f"{param} is no text: it holds a surrogate, which is half a character."
        raise Problem(400, why, param=param, code="unknown_character")
    try:
        ids = lexicon.encode(said)
    except BadInput as error:
        why = f"{param}: {error}"
        raise Problem(400, why, param=param, code="unknown_character") from None
    if len(ids) > length or (lexicon.end is None and len(ids) < length):
        why = f"{param} has {len(ids)} tokens, and an item of this model {length}."
        raise Problem(400, why, param=param, code="invalid_value")
    fill = [] if lexicon.end is None else [lexicon.end] * (length - len(ids))
    return torch.tensor([*ids, *fill])


def bytes_of(text: str, param: str) -> bytes:
    """The file that a text carries in base64, by itself or in a data: URL.

    Raises:
        Problem: It carries none.
    """
    head, _, tail = text.partition(",")
    given = tail if head.startswith("data:") else text
    try:
        return base64.b64decode(given, validate=True)
    except (binascii.Error, ValueError) as error:
        need = "must be a file in base64, or a data: URL; no other URL is opened."
        raise Problem(400, f"{param} {need}", param=param, code="invalid_value") from error


def _point(text: str, items: Items, param: str) -> Tensor:
    size = items.shape[0]
    try:
        values = json.loads(text)
    except (ValueError, RecursionError):
        values = None
    if (
        not isinstance(values, list)
        or len(values) != size
        or not all(type(v) in (int, float) and abs(v) < 3e38 for v in values)
    ):
        need = f"must be a JSON list of {size} numbers."
        raise Problem(400, f"{param} {need}", param=param, code="invalid_value")
    return torch.tensor([float(v) for v in values])


def measure(data: bytes, param: str) -> int:
    """How many pixels; what is too large is refused by its header alone."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data)) as image:
                size = image.size
    except (Image.DecompressionBombError, Image.DecompressionBombWarning) as error:
        text = f"{param} has more than {MOST_PIXELS} pixels."
        raise Problem(400, text, param=param, code="image_too_large") from error
    except BROKEN as error:
        text = f"{param} is not a picture that can be read."
        raise Problem(400, text, param=param, code="invalid_image") from error
    if math.prod(size) > MOST_PIXELS:
        text = f"{param} has {size[0]}x{size[1]} pixels: at most {MOST_PIXELS} in all."
        raise Problem(400, text, param=param, code="image_too_large")
    return math.prod(size)
