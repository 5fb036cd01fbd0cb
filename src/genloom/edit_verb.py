"""`genloom edit`: pictures changed, blanks of texts filled, voices of music added."""

from __future__ import annotations

import argparse
import hashlib
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genloom.errors import BadInput
from genloom.verbs import family_options, show

if TYPE_CHECKING:
    from genloom.artifact import Artifact


def edit(args: argparse.Namespace) -> None:
    """`genloom edit`: results named by their seeds, and of pictures and music a sheet of all."""
    if args.source is None and args.help:
        return args.parser.print_help()
    if args.source is None or (args.picture is None and not args.help):
        raise BadInput("change what? genloom edit RUN PICTURE. See: genloom edit --help")
    from genloom.artifact import check_counts, load

    check_counts(n=args.n, seed=args.seed)
    device = "cpu" if args.help else args.device
    artifact = load(args.source, device=device, allow_code=args.allow_code)
    options = family_options(args, artifact)
    change, foreign = WAYS.get(artifact.items.medium, WAYS["image"])
    for name, reason in foreign.items():
        if getattr(args, name) is not None:
            raise BadInput(f"--{name} is for {reason}.")
    return change(args, artifact, options)


def _redraw(args: argparse.Namespace, artifact: Artifact, options: dict[str, Any]) -> None:
    """A picture, and the original first on the sheet."""
    from genloom import gallery

    original = gallery.picture(str(args.picture))
    mask = None if args.mask is None else gallery.mask_of(args.mask, artifact.items, original)
    how = {name: getattr(args, name) for name in ("strength", "seed", "label", "caption")}
    before, made = gallery.edit(artifact, original, args.n, mask=mask, **how, **options)
    paths, source = _paths(args, ".png"), Path(args.picture).read_bytes()
    hole = None if args.mask is None else Path(args.mask).read_bytes()
    told = _told(args, artifact, how | options, source=source, mask=hole)
    artifact.codec.write(made, paths, told)
    paths.append(args.out / "sheet.png")
    gallery.sheet(before, made, artifact.items).save(paths[-1])
    report = {"files": list(map(str, paths)), "model": artifact.hash, **how, **options}
    show(args, report, f"{args.n} results in {args.out}/; the original first: {paths[-1]}")


def _infill(args: argparse.Namespace, artifact: Artifact, options: dict[str, Any]) -> None:
    """The blanks of a text."""
    from genloom import gallery
    from genloom.infilling import infill

    how = {name: getattr(args, name) for name in ("label", "caption")}
    made = infill(artifact, str(args.picture), _seeds(args), **how, **options)
    paths = _paths(args, gallery.ENDINGS[artifact.items.medium])
    told = _told(args, artifact, how | options, source=str(args.picture).encode())
    artifact.codec.write(made, paths, told)
    report = {"files": list(map(str, paths)), "model": artifact.hash, **how, **options}
    show(args, report, "\n".join(map(artifact.items.read, made)))


def _harmonize(args: argparse.Namespace, artifact: Artifact, options: dict[str, Any]) -> None:
    """The voices that a MIDI file has not, as MIDI and sound; the given ones first on the sheet."""
    from genloom.codecs.files import write_beside
    from genloom.harmony import harmonize
    from genloom.music import midi, roll, synth
    from genloom.music.files import score_of

    given = score_of(Path(args.picture))
    how = {name: getattr(args, name) for name in ("label", "caption")}
    made = harmonize(artifact, given, _seeds(args), keep=_voices(args.keep), **how, **options)
    how["keep"] = args.keep
    paths, sounds = _paths(args, ".mid"), _paths(args, ".wav")
    told = _told(args, artifact, how | options, source=Path(args.picture).read_bytes())
    for path, sound, score, record in zip(paths, sounds, made, told, strict=True):
        path.write_bytes(midi.write(score))
        sound.write_bytes(synth.wav(score))
        write_beside(path, record)
    paths += [*sounds, args.out / "sheet.png"]
    roll.sheet([given, *made]).save(paths[-1])
    report = {"files": list(map(str, paths)), "model": artifact.hash, **how, **options}
    show(args, report, f"{args.n} results in {args.out}/; the given voices first: {paths[-1]}")


def _seeds(args: argparse.Namespace) -> range:
    return range(args.seed, args.seed + args.n)


def _paths(args: argparse.Namespace, ending: str) -> list[Path]:
    """A file for each seed, in a folder that is there."""
    args.out.mkdir(parents=True, exist_ok=True)
    return [args.out / f"{seed:06d}{ending}" for seed in _seeds(args)]


def _told(
    args: argparse.Namespace, artifact: Artifact, how: Mapping[str, Any], **given: bytes | None
) -> list[dict[str, str]]:
    """What the files say of themselves: a seed and the same sources make each of them again."""
    from genloom import __version__

    told = {"genloom": __version__, "model": artifact.hash, "options": json.dumps(dict(how))}
    for name, data in given.items():
        told |= {} if data is None else {f"{name}_sha256": hashlib.sha256(data).hexdigest()}
    return [{**told, "seed": str(seed), "edited": str(seed)} for seed in _seeds(args)]


def _voices(text: str | None) -> list[int] | None:
    """The numbers of --keep."""
    try:
        return None if text is None else [int(part) for part in text.split(",")]
    except ValueError:
        raise BadInput(
            f"--keep {text!r} is no list of voices. Give whole numbers by commas: 0,3."
        ) from None


Way = Callable[[argparse.Namespace, "Artifact", dict[str, Any]], None]
_BLANKS = "pictures: the blanks of a text say what may change"
_VOICES = "pictures: --keep says which voices stay"
# Medium -> what changes it, and the flags that are for others.
WAYS: dict[str, tuple[Way, dict[str, str]]] = {
    "image": (_redraw, {"keep": "music: a mask says what of a picture stays"}),
    "text": (_infill, {"mask": _BLANKS, "strength": _BLANKS, "keep": "music"}),
    "molecule": (_infill, {"mask": _BLANKS, "strength": _BLANKS, "keep": "music"}),
    "music": (_harmonize, {"mask": _VOICES, "strength": _VOICES}),
}
