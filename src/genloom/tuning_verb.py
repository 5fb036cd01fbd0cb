"""`genloom tune` and `genloom ensemble`; nothing heavy is imported until one is called."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path
from shlex import quote
from typing import Any

from genloom.errors import BadInput
from genloom.verbs import show

TUNE = """\
Search for good options of a recipe, judged on the validation part alone.

Each trial is a run in OUT/trial-NN; a killed search goes on where it was, and nothing is tried
twice. The best recipe is OUT/best.toml. Needs Optuna: pip install 'genloom[tune]'

examples:
  genloom tune --data digits --model flow --trials 20 --minutes 1 --search train.lr=1e-4..1e-2
  genloom tune recipes/digits-flow.toml --trials 12 --steps 500 --search model.net.width=32,64
  genloom tune --data my_pictures/ --model gan --minutes 5 --search model.gamma=0.1..10
"""

ENSEMBLE = """\
Make one model of several trained ones: each sample comes from one of them, drawn by chance.

The members must make the same items by the same codec. The result samples, evaluates and serves
like any model.

examples:
  genloom ensemble runs/digits-flow runs/digits-flow-2 --out runs/digits-both
  genloom ensemble runs/digits-flow runs/digits-cvae --shares 0.8,0.2 --out runs/digits-both
"""


def add_parsers(verb: Any) -> None:
    """Add the verbs to the command line."""
    made = verb("tune", TUNE, tune)
    made.add_argument("recipe", metavar="RECIPE", nargs="?", help="a TOML file")
    made.add_argument("--data", metavar="PATH", help="files of your own, or a built-in data set")
    made.add_argument("--model", metavar="NAME", help="a family; see genloom train --list")
    made.add_argument("--trials", type=int, default=20, metavar="N", help="trainings in all (20)")
    for name, kind in (("minutes", float), ("steps", int), ("images", int)):
        made.add_argument(f"--{name}", type=kind, metavar="N", help="budget of each trial")
    made.add_argument(
        "--search",
        action="append",
        default=[],
        metavar="KEY=VALUES",
        help="LOW..HIGH, or A,B,C; such as train.lr=1e-4..1e-2",
    )
    made.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="TABLE.KEY=VALUE",
        dest="settings",
        help="one value of the recipe, the same for all trials",
    )
    made.add_argument(
        "--measure", choices=("loss", "kid"), help="held-out loss, or distance of samples"
    )
    made.add_argument("--seed", type=int, default=0, metavar="N", help="of the search (0)")
    made.add_argument("--out", type=Path, metavar="DIR", help="default: runs/tune-DATA-MODEL")
    made.add_argument("--allow-code", action="store_true", help='accept "module:Name" in RECIPE')
    made.add_argument("--quiet", action="store_true", help="no progress line of the trainings")
    made = verb("ensemble", ENSEMBLE, ensemble)
    made.add_argument("sources", metavar="RUN", nargs="+", help="runs or artifacts, two to eight")
    made.add_argument("--shares", metavar="A,B", help="of the samples; default: equal")
    made.add_argument("--out", type=Path, required=True, metavar="DIR", help="its folder")


def tune(args: argparse.Namespace) -> None:
    """`genloom tune`."""
    import contextlib

    from genloom import runs
    from genloom.record import command
    from genloom.trials import privacy
    from genloom.tuning import tune as search

    budget = {name: getattr(args, name) for name in ("minutes", "steps", "images")}
    given = {"data": args.data, "model": args.model, "settings": args.settings}
    recipe = runs.compose(args.recipe, **given, options=budget, allow_code=args.allow_code)
    with contextlib.redirect_stdout(sys.stderr):
        found = search(
            recipe,
            search=args.search,
            trials=args.trials,
            out=args.out,
            measure=args.measure,
            seed=args.seed,
            allow_code=args.allow_code,
            quiet=args.quiet,
        )
    tried = found.facts["recipe"]
    best, failed = found.best, len(found.trials) - len(found.done)
    values = ", ".join(f"{key} = {value}" for key, value in best.values.items())
    text = (
        f"{best.folder}: {values}: {best.value:.5g} ({found.facts['measure']})\n"
        f"{len(found.trials)} trials, {failed} failed; page: {found.out / 'tune.html'}\n"
        f"next: {command('train', found.out / 'best.toml', tried)}\n"
        f"      {command('evaluate', found.out / best.folder, tried)}"
    )
    if told := found.private:
        text = f"{privacy(told)}\n{text}"
    show(args, {"out": str(found.out), **found.as_dict()}, text)


def ensemble(args: argparse.Namespace) -> None:
    """`genloom ensemble`."""
    from genloom.ensembles import ensemble as join

    shares = None if args.shares is None else [_share(one) for one in args.shares.split(",")]
    folder = join(args.sources, args.out, shares=shares)
    report = {"run": str(folder), "model": str(folder / "model"), "members": args.sources}
    show(
        args,
        report,
        f"{folder}: {len(args.sources)} members\nnext: genloom sample {quote(str(folder))}",
    )


def _share(text: str) -> float:
    try:
        return float(text)
    except ValueError:
        raise BadInput(f"--shares {text} is not a number: give one share a member.") from None
