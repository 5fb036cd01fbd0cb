"""What somebody wants, checked: for the engine, and in a record from which it is read again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import torch
from torch import Tensor

from genloom import given
from genloom.errors import BadInput
from genloom.serve import media
from genloom.serve.engine.messages import Done
from genloom.serve.engine.request import Request
from genloom.serve.given import spoilt
from genloom.serve.known import Known
from genloom.serve.store import Origin

LOSSY = ("jpeg", "webp")  # formats whose bytes depend on the quality


class Original(NamedTuple):
    """A picture that samples are made from, at their size.

    Args:
        picture: uint8 (C, H, W).
        mask: Where they may differ from it, bool (H, W); None: everywhere.
    """

    picture: Tensor
    mask: Tensor | None


@dataclass(frozen=True, kw_only=True)
class Asked:
    """What somebody wants, checked.

    Args:
        known: Of which model.
        seeds: One for each sample.
        label: A class by name or index; None draws it from the seed.
        options: Of the model's sampling.
        prompt: Tokens that each sample begins with.
        caption: What the samples should show, for models that were trained with captions.
        negative: What guidance leads away from, for such models as are led by it.
        told: Text that the filters read: the prompts as they were written.
        form: Of the files, see `media.FORMATS`.
        size: (width, height) that pictures are resized to.
        quality: Of JPEG and WebP.
        previews: Guesses to show on the way.
        tokens: Show tokens as they are drawn.
        most: Tokens to draw; None: as many as a datum has.
        stop: Sequences of tokens that end a text.
        stops: Texts that end one.
        grammar: See `Request.grammar`.
        logit_bias: See `Request.logit_bias`.
        logprobs: So many likeliest tokens are told with each one; None: none, and not its own.
        scored: Whether the same is told of the tokens of the prompt.
        toward: A seed that the samples lie on the way to, or None.
        mix: How far on that way each sample lies, in [0, 1].
        latent: The code of each sample; None draws them.
        original: What the samples are made from: the source of a model that was given sources,
            or else a picture to change; None: nothing.
        strength: How much of a picture to change is drawn anew, in [0, 1].
        keep: Whether what its mask keeps is put into the samples, pixel by pixel.
    """

    known: Known
    seeds: tuple[int, ...]
    label: int | str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    prompt: tuple[int, ...] = ()
    caption: str = ""
    negative: str = ""
    told: str = ""
    form: str
    size: tuple[int, int] | None = None
    quality: int = 90
    previews: int = 0
    tokens: bool = False
    most: int | None = None
    stop: tuple[tuple[int, ...], ...] = ()
    stops: tuple[str, ...] = ()
    grammar: tuple[str, str] | None = None
    logit_bias: tuple[tuple[int, float], ...] = ()
    logprobs: int | None = None
    scored: bool = False
    toward: int | None = None
    mix: tuple[float, ...] = ()
    latent: tuple[tuple[float, ...], ...] | None = None
    original: Original | None = None
    strength: float = 1.0
    keep: bool = False

    def request(self) -> Request:
        """For the engine."""
        changed = self.original if self.known.given == "none" else None
        source, mask = changed or (None, None)
        return Request(
            model=self.known.name,
            seeds=self.seeds,
            label=self.label,
            condition=self._condition(),
            options=self.options,
            prompt=self.prompt,
            previews=self.previews,
            tokens=self.tokens,
            most=self.most,
            stop=self.stop,
            stops=self.stops,
            grammar=self.grammar,
            logit_bias=self.logit_bias,
            logprobs=self.logprobs,
            scored=self.scored,
            toward=self.toward,
            mix=self.mix,
            latent=None if self.latent is None else torch.tensor(self.latent),
            source=None if source is None else source[None],
            mask=None if mask is None else mask[None],
            strength=self.strength,
        )

    def _condition(self) -> dict[str, Tensor]:
        items, found = self.known.items, {}
        for name, text in (("caption", self.caption), ("negative_caption", self.negative)):
            if text and items.caption is not None:
                found[name] = items.caption.encode(text).expand(len(self.seeds), -1)
        if self.original is not None and self.known.given != "none":
            picture, mask = self.original
            each = self.known.given == "masked" and mask is None  # its hole is the sample's own
            hole = None if mask is None else mask[None, None]
            seeds = self.seeds if each else self.seeds[:1]
            found["source"] = given.asked(items, picture[None], seeds, hole)
        return found

    @property
    def unread(self) -> dict[str, str]:
        """What the model makes nothing of in its captions, by the names of their fields."""
        reader, texts = self.known.items.caption, (self.caption, self.negative)
        pairs = zip(("prompt", "negative_prompt"), texts, strict=True)
        return {
            f"{name} ({part})": text
            for name, text in pairs
            if text and reader is not None
            for part in reader.unread(text)
        }

    def recorded(self, i: int) -> dict[str, Any]:
        """What the record of sample i keeps beside seed and label; `of_record` reads it.

        Not the words that the filters read, and nothing of how the answer was shown on the way.
        Of a picture that samples were made from it keeps a hash: it is its owner's.
        """
        found: dict[str, Any] = {"sampling": dict(self.options), "format": self.form}
        found |= {"prompt": list(self.prompt)} if self.prompt else {}
        found |= {"caption": self.caption} if self.caption else {}
        found |= {"negative": self.negative} if self.negative else {}
        found |= {"size": list(self.size)} if self.size else {}
        found |= {"quality": self.quality} if self.form in LOSSY else {}
        found |= {} if self.most is None else {"most": self.most}
        found |= {"stop": [list(one) for one in self.stop]} if self.stop else {}
        found |= {"stops": list(self.stops)} if self.stops else {}
        found |= {"grammar": list(self.grammar)} if self.grammar else {}
        found |= {"logit_bias": [list(one) for one in self.logit_bias]} if self.logit_bias else {}
        found |= {} if self.toward is None else {"toward": self.toward, "mix": self.mix[i]}
        found |= {} if self.latent is None else {"latent": list(self.latent[i])}
        if self.original is not None:
            found |= dict(zip(("source", "mask"), hashes(self.original), strict=True))
            found |= {"strength": self.strength} if self.known.given == "none" else {}
            found |= {"keep": True} if self.keep else {}
        return found

    @classmethod
    def of_record(cls, known: Known, origin: Origin, original: Original | None = None) -> Asked:
        """The request for the one output of a record, as `recorded` kept it.

        Args:
            known: The model of that record.
            origin: The record's.
            original: The picture that the output was made from, of which it keeps the hash.

        Raises:
            BadInput: The record is of another model or another picture, or was kept by another
                version.
        """
        if origin.model != known.hash:
            raise BadInput(f"the output is of model {origin.model[:12]}, not {known.hash[:12]}.")
        kept = dict(origin.options)
        _check_original(kept.pop("source", None), kept.pop("mask", None), original)
        try:
            asked = cls(
                known=known,
                seeds=(origin.seed,),
                label=None if origin.label is None else int(origin.label),
                options=kept.pop("sampling"),
                form=kept.pop("format"),
                prompt=tuple(kept.pop("prompt", ())),
                caption=kept.pop("caption", ""),
                negative=kept.pop("negative", ""),
                size=tuple(kept.pop("size")) if "size" in kept else None,
                quality=kept.pop("quality", cls.quality),
                most=kept.pop("most", None),
                stop=tuple(tuple(one) for one in kept.pop("stop", ())),
                stops=tuple(kept.pop("stops", ())),
                grammar=tuple(kept.pop("grammar")) if "grammar" in kept else None,
                logit_bias=tuple(tuple(one) for one in kept.pop("logit_bias", ())),
                toward=kept.pop("toward", None),
                mix=(kept.pop("mix"),) if "mix" in kept else (),
                latent=(tuple(kept.pop("latent")),) if "latent" in kept else None,
                original=original,
                strength=kept.pop("strength", cls.strength),
                keep=kept.pop("keep", cls.keep),
            )
        except KeyError as error:
            raise BadInput(
                f"the record does not tell the {error.args[0]} of its request."
            ) from None
        if kept:
            raise BadInput(f"the record tells {', '.join(sorted(kept))}: another genloom wrote it.")
        return asked

    def items(self, done: Done) -> list[Tensor]:
        """The samples of an answer; a text that ended early is as long as it became."""
        if self.known.items.kind != "text" or not done.lengths:
            return list(self.kept(done.items))
        return [item[:length] for item, length in zip(done.items, done.lengths, strict=True)]

    def kept(self, items: Tensor) -> Tensor:
        """Samples or guesses at them, (n, *items.shape), with what the mask keeps, where asked."""
        if not self.keep or self.original is None or self.original.mask is None:
            return items
        return torch.where(self.original.mask, items, self.original.picture)

    def spoilt(self, items: Sequence[Tensor]) -> list[str | None]:
        """Why voices that stay are not whole in each sample; None where they are."""
        codec = self.known.voices
        if codec is None or self.original is None or self.original.mask is None:
            return [None] * len(items)
        kept = codec.encode(self.original.picture[None])[0, ~self.original.mask.any(1)]
        return [spoilt(item, kept, codec) for item in items]

    def encode(self, item: Tensor, told: Mapping[str, str]) -> bytes:
        """One sample as a file in the form that was asked for, without marks."""
        return media.encode(
            item, self.known.items, self.form, told, size=self.size, quality=self.quality
        )


def _check_original(source: str | None, mask: str | None, original: Original | None) -> None:
    if source is None and original is not None:
        raise BadInput("the output was made from no file: leave it out.")
    if source is not None and original is None:
        raise BadInput(
            "the output was made from a file, of which the server keeps the hash alone: send it "
            "again (--source FILE), and the mask if one was sent (--mask FILE)."
        )
    found = (None, None) if original is None else hashes(original)
    for name, before, now in zip(("source", "mask"), (source, mask), found, strict=True):
        if before != now:
            told = f"it had {before[:12]}..." if before else "it had none"
            raise BadInput(f"this is not the {name} that the output was made from: {told}.")


def hashes(original: Original) -> tuple[str, str | None]:
    """Of a picture and its mask."""
    picture, mask = original
    return digest(picture), None if mask is None else digest(mask)


def digest(x: Tensor) -> str:
    """SHA-256 of a tensor's bytes."""
    return hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()
