"""Samples as files, each with the record that makes it again."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from genloom import given, masks, sampling
from genloom.artifact import Artifact, check_counts
from genloom.codecs import grid
from genloom.codecs.files import write_png
from genloom.codecs.points import table
from genloom.codecs.text import FILES, SHEETS
from genloom.conditions import Label, Text, hash_of
from genloom.core import Edits, Interval, Items, Option, check_options
from genloom.data.decode import decode
from genloom.errors import BadInput
from genloom.notes import note

# Medium -> how its files end.
ENDINGS = {"image": ".png", "points": ".csv", **{name: next(iter(FILES[name])) for name in FILES}}


def write(
    artifact: Artifact,
    n: int,
    folder: str | Path,
    *,
    seed: int = 0,
    label: Label = None,
    caption: Text = None,
    source: Tensor | None = None,
    mask: Tensor | None = None,
    negative: Text = None,
    batch: int = 64,
    with_grid: bool = True,
    draw: Callable[..., Any] | None = None,
    told: Mapping[str, str] | None = None,
    **options: Any,
) -> tuple[list[Path], Sequence[Tensor]]:
    """Draw n samples into a folder: NNNNNN.png (named by seed) and grid.png; files and items.

    Several points are also the rows of one all.csv, with their seeds and labels.

    Args:
        artifact: To draw from.
        n: How many.
        folder: Made if it is not there.
        seed: Of the first; the files are named by their seeds.
        label: See `Artifact.condition`.
        caption: See `Artifact.condition`.
        source: See `Artifact.condition`.
        mask: See `Artifact.condition`.
        negative: See `Artifact.condition`.
        batch: How many at a time.
        with_grid: Write one picture of all, where the items are pictures, points or molecules.
        draw: In place of `Artifact.sample`; it takes the options as one argument.
        told: What the records say besides.
        options: Those of the family.
    """
    check_counts(n=n, seed=seed, batch=batch)
    how: dict[str, Any] = {"seed": seed, "label": label, "batch": batch}
    how |= {"caption": caption, "source": source, "mask": mask, "negative": negative}
    items: Any = (
        artifact.sample(n, **how, **options)
        if draw is None
        else draw(artifact, n, options=options, **how)
    )
    records = [{**one, **(told or {})} for one in artifact.records(n, **how, **options)]
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    ending = ENDINGS[artifact.items.medium]
    paths = [folder / f"{seed + i:06d}{ending}" for i in range(n)]
    artifact.codec.write(items, paths, records)
    if artifact.items.kind == "points" and n > 1:
        columns = {name: [one[name] for one in records] for name in ("seed", "label")}
        paths.append(folder / "all.csv")
        paths[-1].write_text(table(items, {k: v for k, v in columns.items() if any(v)}), "utf-8")
    if with_grid and n > 1:
        picture = grid(items, artifact.items)
        if picture is not None:
            paths.append(folder / "grid.png")
            about = {**records[0], "seed": f"{seed} to {seed + n - 1}", "label": str(label)}
            write_png(picture, paths[-1], about)
        elif artifact.items.medium in SHEETS:
            ending, drawn = SHEETS[artifact.items.medium]
            paths.append(folder / f"grid{ending}")
            texts = [artifact.items.read(item) for item in items]
            paths[-1].write_bytes(drawn(texts, artifact.items.lexicon))
    return paths, items


def older(folder: str | Path, paths: Sequence[Path]) -> int:
    """How many files of samples an earlier call left in a folder, beside those of `paths`."""
    endings = {path.suffix for path in paths}
    found = (path for path in Path(folder).iterdir() if path.suffix in endings)
    return sum(path.stem.isdecimal() and path not in paths for path in found)


def record_of(path: str | Path) -> dict[str, str]:
    """The record inside a PNG file that `write` made.

    Raises:
        BadInput: It is no such file.
    """
    try:
        with Image.open(path) as picture:
            record = {str(k): v for k, v in picture.info.items() if isinstance(v, str)}
    except (UnidentifiedImageError, OSError, ValueError) as error:
        raise BadInput(f"{path} is not a picture: {error}.") from error
    missing = [key for key in ("model", "seed", "options", "batch") if key not in record]
    if missing:
        raise BadInput(f"{path} holds no record of genloom: {', '.join(missing)} is not in it.")
    if not record["seed"].isdecimal():
        raise BadInput(f"{path} shows many samples. Name the file of one.")
    return record


def again(
    artifact: Artifact,
    record: Mapping[str, str],
    *,
    source: Tensor | None = None,
    mask: Tensor | None = None,
) -> Tensor:
    """The item of a record, drawn again in a batch of the same size: (1, *items.shape).

    Args:
        artifact: That the record is of.
        record: See `record_of`.
        source: The picture it was made from, where it was made from one; the record has its hash.
        mask: As it was.

    Raises:
        BadInput: The record is of another model or of another source.
    """
    if record["model"] != artifact.hash:
        raise BadInput(
            f"the record is of model {record['model'][:12]}, not of {artifact.hash[:12]} "
            f"({artifact.path})."
        )
    rows, seed = int(record["batch"]), int(record["seed"])
    label = record.get("label") or None
    chosen = None if label is None else int(label)
    texts = record.get("caption"), record.get("negative")
    cond = artifact.condition([seed], chosen, texts[0], source, mask, texts[1])
    found = "" if source is None else hash_of(cond["source"][0])
    if found != record.get("source", ""):
        raise BadInput(
            f"the record is of the source {record.get('source', 'none')[:12]}, given is "
            f"{found[:12] or 'none'}: give the picture (and the mask) that it was made from."
        )
    full = {name: value.expand(rows, *value.shape[1:]) for name, value in cond.items()}
    options = json.loads(record["options"])
    *_, last = sampling.stream(artifact.model, [seed] * rows, full, **options)
    return artifact.codec.decode(last[:1].cpu())


def picture(path: str | Path) -> Tensor:
    """One picture file as items are stored: uint8 (1, C, h, w), C being 1 or 3.

    Raises:
        BadInput: It is none.
    """
    return torch.tensor(decode(_bytes(path), Path(path).name, []))[None]


def _bytes(path: str | Path) -> bytes:
    path = Path(path)
    if not path.is_file():
        raise BadInput(f"there is no picture {path}.")
    return path.read_bytes()


def mask_of(path: str | Path, items: Items, original: Tensor | None = None) -> Tensor:
    """A picture file as a mask, bool (1, 1, H, W): true where the original may change.

    Args:
        path: Of the file; transparent, or else white, means may change (see `masks`).
        items: What the model makes.
        original: The picture that it is for, uint8 (1, C, h, w); None: its form is not looked at.

    Raises:
        BadInput: It is no picture, not of the original's form, or leaves nothing to change.
    """
    mask, opaque = masks.read(_bytes(path), Path(path).name)
    if original is not None:
        masks.check_form(masks.size_of(mask), masks.size_of(original))
    return masks.fitted(mask, opaque, items.shape[1:])


def edit(
    artifact: Artifact,
    original: Tensor,
    n: int,
    *,
    mask: Tensor | None = None,
    strength: float | None = None,
    seed: int = 0,
    label: Label = None,
    caption: Text = None,
    **options: Any,
) -> tuple[Tensor, Tensor]:
    """Change a picture n times: by a model that has a source, or else by `core.Edits`.

    Args:
        artifact: Which of the two it is, its conditions say.
        original: uint8 (1, C, h, w) of any size.
        n: How many results.
        mask: True where they may differ, bool (1, 1, H, W); None: everywhere.
        strength: How much is drawn anew, in [0, 1], for `core.Edits`; 0.6 where it is left out.
        seed: Of the first result.
        label: See `Artifact.condition`.
        caption: See `Artifact.condition`.
        options: Those of the family.

    Returns:
        The original at the size of the items, (1, *shape), and the results, (n, *shape).

    Raises:
        BadInput: The model can do neither, or not with a mask or a strength.
    """
    if artifact.items.kind != "image":
        raise BadInput(f"{artifact.name} makes {artifact.items.kind}, not pictures.")
    note_part(original, artifact.items)
    before = given.fit(original, artifact.items.shape)
    how: dict[str, Any] = {"label": label, "caption": caption}
    if "source" in artifact.model.conditions:
        if strength is not None:
            raise BadInput(f"{artifact.name} makes all of the picture: leave the strength out.")
        fills = artifact.items.given == "masked"
        if fills and mask is None:
            raise BadInput(f"{artifact.name} fills holes: say where with a mask (--mask).")
        how |= {"source": original, "mask": mask if fills else None}
        made = artifact.sample(n, seed=seed, **how, **options)
        return before, made if mask is None else torch.where(mask, made, before)
    return before, _redrawn(artifact, before, range(seed, seed + n), mask, strength, how, options)


def note_part(original: Tensor, items: Items) -> None:
    """Say what is used of a picture of another form than the items have."""
    height, width = original.shape[-2:]
    rows, columns = given.part_of(original.shape[-2:], items.shape[1:])
    if (rows, columns) != (height, width):
        note(
            f"the picture is {width}x{height}, and the model makes "
            f"{items.shape[2]}x{items.shape[1]}: its middle, {columns}x{rows}, is used."
        )


def _redrawn(
    artifact: Artifact,
    before: Tensor,
    seeds: Sequence[int],
    mask: Tensor | None,
    strength: float | None,
    how: Mapping[str, Any],
    options: Mapping[str, Any],
) -> Tensor:
    """By a model that knows how to change a datum."""
    if not isinstance(artifact.model, Edits):
        raise BadInput(
            f"{artifact.name} cannot change a picture: train a diffusion model (--model flow), or "
            "any family with --set data.given=masked."
        )
    share = Option("strength", float, 0.6, Interval(ge=0, le=1)).check(
        0.6 if strength is None else strength
    )
    chosen = {"strength": share, **check_options(artifact.model.sample_steps, options)}
    cond, x = artifact.condition(seeds, **how), artifact.codec.encode(before)
    made = sampling.edit(artifact.model, seeds, cond, x, mask, **chosen)
    return artifact.codec.decode(made.cpu())


def sheet(before: Tensor, made: Tensor, items: Items) -> Image.Image:
    """The original first, then what was made of it."""
    page = grid(torch.cat([before, made]), items)
    assert page is not None, items
    return page
