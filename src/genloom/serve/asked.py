"""What somebody wants, checked: for the engine, and in a record from which it is read again."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from genloom.errors import BadInput
from genloom.serve import media
from genloom.serve.engine.messages import Done
from genloom.serve.engine.request import Request
from genloom.serve.known import Known
from genloom.serve.store import Origin

LOSSY = ("jpeg", "webp")  # formats whose bytes depend on the quality


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
        told: Text that the filters read: the prompt as it was written.
        form: Of the files, see `media.FORMATS`.
        size: (width, height) that pictures are resized to.
        quality: Of JPEG and WebP.
        previews: Guesses to show on the way.
        tokens: Show tokens as they are drawn.
        most: Tokens to draw; None: as many as a datum has.
        stop: Sequences of tokens that end a text.
        logprobs: So many likeliest tokens are told with each one; None: none, and not its own.
        toward: A seed that the samples lie on the way to, or None.
        mix: How far on that way each sample lies, in [0, 1].
        latent: The code of each sample; None draws them.
        source: A picture to change, (C, H, W), or None.
        mask: Where it may change, bool (H, W); None: everywhere.
        strength: How much of it is drawn anew, in [0, 1].
    """

    known: Known
    seeds: tuple[int, ...]
    label: int | str | None = None
    options: Mapping[str, Any] = field(default_factory=dict)
    prompt: tuple[int, ...] = ()
    caption: str = ""
    told: str = ""
    form: str
    size: tuple[int, int] | None = None
    quality: int = 90
    previews: int = 0
    tokens: bool = False
    most: int | None = None
    stop: tuple[tuple[int, ...], ...] = ()
    logprobs: int | None = None
    toward: int | None = None
    mix: tuple[float, ...] = ()
    latent: tuple[tuple[float, ...], ...] | None = None
    source: Tensor | None = None
    mask: Tensor | None = None
    strength: float = 1.0

    def request(self) -> Request:
        """For the engine."""
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
            logprobs=self.logprobs,
            toward=self.toward,
            mix=self.mix,
            latent=None if self.latent is None else torch.tensor(self.latent),
            source=None if self.source is None else self.source[None],
            mask=None if self.mask is None else self.mask[None],
            strength=self.strength,
        )

    def _condition(self) -> dict[str, Tensor]:
        words = self.known.items.caption
        if not self.caption or words is None:
            return {}
        return {"caption": words.encode(self.caption).expand(len(self.seeds), -1)}

    def recorded(self, i: int) -> dict[str, Any]:
        """What the record of sample i keeps beside seed and label; `of_record` reads it.

        Not the words that the filters read, and nothing of how the answer was shown on the way.
        Of a picture that was changed it keeps a hash: it is its owner's.
        """
        found: dict[str, Any] = {"sampling": dict(self.options), "format": self.form}
        found |= {"prompt": list(self.prompt)} if self.prompt else {}
        found |= {"caption": self.caption} if self.caption else {}
        found |= {"size": list(self.size)} if self.size else {}
        found |= {"quality": self.quality} if self.form in LOSSY else {}
        found |= {} if self.most is None else {"most": self.most}
        found |= {"stop": [list(one) for one in self.stop]} if self.stop else {}
        found |= {} if self.toward is None else {"toward": self.toward, "mix": self.mix[i]}
        found |= {} if self.latent is None else {"latent": list(self.latent[i])}
        if self.source is not None:
            given = (self.source, self.mask)
            kept = [None if one is None else digest(one) for one in given]
            found |= {"source": kept[0], "mask": kept[1], "strength": self.strength}
        return found

    @classmethod
    def of_record(cls, known: Known, origin: Origin) -> Asked:
        """The request for the one output of a record, as `recorded` kept it.

        Args:
            known: The model of that record.
            origin: The record's.

        Raises:
            BadInput: The record is of another model, or was kept by another version.
        """
        if origin.model != known.hash:
            raise BadInput(f"the output is of model {origin.model[:12]}, not {known.hash[:12]}.")
        kept = dict(origin.options)
        if "source" in kept:
            raise BadInput("the output is a changed picture, and the one before it is not kept.")
        try:
            asked = cls(
                known=known,
                seeds=(origin.seed,),
                label=None if origin.label is None else int(origin.label),
                options=kept.pop("sampling"),
                form=kept.pop("format"),
                prompt=tuple(kept.pop("prompt", ())),
                caption=kept.pop("caption", ""),
                size=tuple(kept.pop("size")) if "size" in kept else None,
                quality=kept.pop("quality", cls.quality),
                most=kept.pop("most", None),
                stop=tuple(tuple(one) for one in kept.pop("stop", ())),
                toward=kept.pop("toward", None),
                mix=(kept.pop("mix"),) if "mix" in kept else (),
                latent=(tuple(kept.pop("latent")),) if "latent" in kept else None,
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
            return list(done.items)
        return [item[:length] for item, length in zip(done.items, done.lengths, strict=True)]

    def encode(self, item: Tensor, told: Mapping[str, str]) -> bytes:
        """One sample as a file in the form that was asked for, without marks."""
        return media.encode(
            item, self.known.items, self.form, told, size=self.size, quality=self.quality
        )


def digest(x: Tensor) -> str:
    """SHA-256 of a tensor's bytes."""
    return hashlib.sha256(x.contiguous().numpy().tobytes()).hexdigest()
