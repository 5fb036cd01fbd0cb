"""Voices to a given one: a model that edits grids of voices writes those that are missing.

Harmonization as infilling: Huang et al., Counterpoint by Convolution, 2017 (arXiv:1903.07227),
section 5. What is given stays as it is, note for note.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import replace
from typing import Any

import torch

from genloom import sampling
from genloom.artifact import Artifact
from genloom.codecs.voices import Voices
from genloom.conditions import Label, Text
from genloom.core import Edits, check_options
from genloom.errors import BadInput
from genloom.music.notes import Score, Track
from genloom.music.voices import REST, begun, grid

APART = 2**40  # from the seed of one window to that of the next


def harmonize(
    artifact: Artifact,
    score: Score,
    seeds: Sequence[int],
    *,
    keep: Collection[int] | None = None,
    label: Label = None,
    caption: Text = None,
    **options: Any,
) -> list[Score]:
    """Write the voices that a piece has not, once per seed.

    A piece that is longer than the model's grid is written in windows of its size, of which each
    sees half of what the one before it has. Where a whole window has nothing to keep, all rest.

    Args:
        artifact: With the codec `voices`, of a family that edits.
        score: Of any length; what is no voice of the model, and drums, stay too.
        seeds: One per result.
        keep: The voices that stay, 0 being the first one; all others are written. A piece with as
            many tracks has these, else its track i is voice i. None: as many as it has tracks.
        label: See `Artifact.condition`.
        caption: See `Artifact.condition`.
        options: Those of the family.

    Raises:
        BadInput: The model fills in no voices, or there is none to keep or to write.
    """
    model, codec = artifact.model, artifact.codec
    if not isinstance(codec, Voices) or not isinstance(model, Edits):
        raise BadInput(
            f"{artifact.name} fills in no voices: train --model mdlm with --set codec.use=voices."
        )
    voices, frames = codec.space.shape
    given = _placed(score, voices, keep)
    size = -(-score.end // codec.span)
    starts = range(0, max(size - frames, 0) + frames // 2, frames // 2)
    cells = grid([given.get(i, Track(())) for i in range(voices)], codec.span, starts[-1] + frames)
    cells, free = (
        cells.expand(len(seeds), -1, -1).clone(),
        torch.zeros_like(cells, dtype=torch.bool),
    )
    free[[i for i in range(voices) if i not in given], :size] = True
    chosen = check_options(model.sample_steps, options)
    cond = artifact.condition(seeds, label, caption)
    for k, start in enumerate(starts):
        window = slice(start, start + frames)
        if not (cells[0, list(given), window] != REST).any():
            continue
        source, mask = codec.tokens(begun(cells[..., window])), free[None, None, :, window]
        made = sampling.edit(model, [s + k * APART for s in seeds], cond, source, mask, **chosen)
        cells[..., window] = torch.where(mask[0], codec.cells(made.cpu()), cells[..., window])
        free[:, window] = False
    return [_joined(score, given, codec.tracks(begun(one))) for one in cells]


def _placed(score: Score, voices: int, keep: Collection[int] | None) -> dict[int, Track]:
    """The tracks that stay, by the voice that each of them is."""
    tracks = score.pitched
    kept = sorted(set(range(min(len(tracks), voices)) if keep is None else keep))
    if not tracks:
        raise BadInput("the piece has no voice to keep: it has no notes, or drums alone.")
    if not kept or kept[0] < 0 or kept[-1] >= voices:
        raise BadInput(f"keep = {kept}: name voices, from 0 to {voices - 1}.")
    if len(kept) == voices:
        raise BadInput(f"all {voices} voices stay: say which of them do (--keep 0).")
    if len(kept) == len(tracks):
        return dict(zip(kept, tracks, strict=True))
    if kept[-1] >= len(tracks):
        raise BadInput(f"there is no voice {kept[-1]} to keep: the piece has {len(tracks)} tracks.")
    return {i: tracks[i] for i in kept}


def _joined(score: Score, given: Mapping[int, Track], made: Sequence[Track]) -> Score:
    """The piece with what was written, in the order of the voices; drums and others after them."""
    voices = [given.get(i, track) for i, track in enumerate(made)]
    others = [*score.pitched[len(made) :], *(track for track in score.tracks if track.drum)]
    return replace(score, tracks=tuple(track for track in (*voices, *others) if track.notes))
