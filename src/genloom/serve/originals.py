"""The picture that samples are made from, as a request sends it.

To a model that was trained with sources it is a condition, put through the derivation that training
had (`genloom.given`); other models that can edit change it. To a model of voices it is a MIDI file,
whose voices stay; the model writes those that it has not.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import final

from genloom.serve import given
from genloom.serve.asked import Asked, Original
from genloom.serve.known import Known
from genloom.serve.problems import Problem

LONGEST = 4 * given.MOST_BYTES // 3 + 200  # characters of a picture as text
FILES = {"music": "given voices"}  # medium -> what its samples are made from; else a picture
STRENGTH = 0.6  # of an edit without a mask, where nobody says more; with one, all is drawn anew


@final
@dataclass(frozen=True, kw_only=True)
class Sent:
    """A picture or a piece as it came, and what is to become of it.

    Args:
        picture: Its file; None where there is none.
        mask: A file that says where the samples may differ from it, see `given.mask`.
        strength: How much of it is drawn anew, for models that edit; None: as usual.
        keep: Whether what the mask keeps is taken from the picture itself, pixel by pixel.
        name: What errors call the picture.
    """

    picture: bytes | None = None
    mask: bytes | None = None
    strength: float | None = None
    keep: bool = False
    name: str = "source"


def sent_as_text(
    source: str | None, mask: str | None, *, strength: float | None = None, keep: bool = False
) -> Sent:
    """What a JSON body sends: pictures in base64, or as data: URLs.

    Raises:
        Problem: Another text; no URL is opened.
    """
    return Sent(
        picture=None if source is None else given.bytes_of(source, "source"),
        mask=None if mask is None else given.bytes_of(mask, "mask"),
        strength=strength,
        keep=keep,
    )


def made_from(asked: Asked, sent: Sent) -> Asked:
    """The request, with the picture that its samples are made from; slow where there is one.

    Raises:
        Problem: The model takes no picture, or not with this; it needs one; it cannot be read.
    """
    known = asked.known
    if sent.picture is None:
        _check_absence(known, sent)
        return asked
    _check(known, sent)
    original, strength = read(known, sent), 1.0
    if known.given == "none":
        usual = STRENGTH if original.mask is None else 1.0
        strength = usual if sent.strength is None else sent.strength
    return replace(asked, original=original, strength=strength, keep=sent.keep)


def read(known: Known, sent: Sent) -> Original:
    """The picture and its mask, brought to the size of a model's items.

    Raises:
        Problem: One of them is too large, or no picture.
    """
    assert sent.picture is not None
    most = given.MOST_BYTES if known.voices is None else given.MOST_MIDI
    for name, data in ((sent.name, sent.picture), ("mask", sent.mask)):
        if data is not None and len(data) > most:
            raise Problem(413, f"{name} has at most {most} bytes.", param=name)
    if known.voices is not None:
        if sent.mask is not None:
            raise _useless(known, "mask")
        return Original(*given.voices(sent.picture, known.voices, sent.name))
    picture, mask = given.picture, given.mask
    if known.given != "none":
        picture, mask = given.source, given.hole
    return Original(
        picture(sent.picture, known.items, sent.name),
        None if sent.mask is None else mask(sent.mask, known.items, of=sent.picture),
    )


def _useless(known: Known, name: str) -> Problem:
    text = f"{known.name} writes the voices that a piece has not: leave {name} out."
    return Problem(400, text, param=name)


def _check_absence(known: Known, sent: Sent) -> None:
    if known.needs_source:
        text = f"{known.name} makes nothing without a picture to start from: send one as "
        raise Problem(
            400, f"{text}{sent.name}.", param=sent.name, code="missing_required_parameter"
        )
    given_ = {"mask": sent.mask, "strength": sent.strength, "keep": sent.keep or None}
    for name, value in given_.items():
        if value is not None:
            text = f"{name} says nothing by itself: send {sent.name} too, or leave it out."
            raise Problem(400, text, param=name)


def _check(known: Known, sent: Sent) -> None:
    if not known.edits:
        medium, file = known.items.medium, FILES.get(known.items.medium, "picture")
        text = f"{known.name}, a model of {medium}, makes its samples from no {file}"
        raise Problem(
            400, f"{text}: leave {sent.name} out.", param=sent.name, code="unsupported_parameter"
        )
    for name, value in (("strength", sent.strength), ("keep", sent.keep)):
        if known.voices is not None and value not in (None, False):
            raise _useless(known, name)
    if known.given != "none" and sent.strength is not None:
        text = f"{known.name} makes all of the picture: leave strength out."
        raise Problem(400, text, param="strength")
    if known.given not in ("none", "masked") and sent.mask is not None:
        text = f"{known.name} was given {known.given!r}, not holes to fill: leave mask out."
        raise Problem(400, text, param="mask")
    if sent.keep and sent.mask is None:
        raise Problem(400, "keep says nothing without a mask: send one.", param="keep")
