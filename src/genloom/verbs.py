"""What each verb of the command line does: call the library, then print text or JSON."""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from genloom.errors import BadInput, need

if TYPE_CHECKING:
    from genloom.artifact import Artifact
    from genloom.core import Option
    from genloom.rehearsal import Forecast


Flags = Callable[[argparse._ActionsContainer], None]


def show(args: argparse.Namespace, report: Any, text: str) -> None:
    """Print the report as JSON, with what was noted on the way, or the text."""
    noted = getattr(args, "notes", None)
    report = {**report, "notes": noted} if noted else report
    print(json.dumps(report, indent=1, allow_nan=False) if args.json else text)


def styled(text: str, code: str, stream: Any) -> str:
    """Text in a terminal's colour; as it is with NO_COLOR, and where nobody looks."""
    plain = os.environ.get("NO_COLOR") or os.environ.get("TERM") == "dumb" or not stream.isatty()
    return text if plain else f"\x1b[{code}m{text}\x1b[0m"


def bold(text: str) -> str:
    """Text in bold, where a terminal shows it."""
    return styled(text, "1", sys.stdout)


def _only_json(args: argparse.Namespace) -> contextlib.AbstractContextManager[Any]:
    """With --json, whatever the library prints goes to the other stream."""
    return contextlib.redirect_stdout(sys.stderr) if args.json else contextlib.nullcontext()


def train(args: argparse.Namespace) -> int:
    """`genloom train`; the exit code of an alarm that was still ringing at the end."""
    if args.help:
        args.parser.print_help()
        if args.model is not None:
            print(f"\n{_options_text(args)}")
        return 0
    if args.list:
        _list(args)
        return 0
    from genloom.health import RULES
    from genloom.record import command
    from genloom.runs import first_process

    with _only_json(args):
        folder = _trained(args)
    if not isinstance(folder, Path):
        show(args, folder.as_dict(), str(folder))
        return 0
    if not first_process():
        return 0
    state = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    keys = ("status", "step", "seconds", "alarms", "active")
    report = {"run": str(folder), "model": str(folder / "model"), **{k: state[k] for k in keys}}
    lines = [f"{folder}: {state['step']} steps in {state['seconds']:.0f} s", *_ringing(state)]
    sample_, judge = (command(verb, folder, state["recipe"]) for verb in ("sample", "evaluate"))
    lines += [f"next: {sample_}", f"      {judge}{_short(folder)}"]
    show(args, report, "\n".join(lines))
    ringing = [RULES[name].error.exit_code for name in state["active"] if name in RULES]
    return ringing[0] if ringing else 0


def _short(folder: Path) -> str:
    """What is to be added to the command that judges a run, where little was held out for it."""
    from genloom.metrics.copies import NEEDED

    held_out = json.loads((folder / "data.json").read_text("utf-8")).get("test", NEEDED)
    if held_out >= NEEDED:
        return ""
    return f" --force   (of {held_out} test items; a verdict needs {NEEDED}: data.test)"


def _ringing(state: Mapping[str, Any]) -> list[str]:
    """The alarms that were still ringing at the end of a run, which its exit code is of."""
    from genloom.health import RULES

    names = [RULES[figure].name for figure in state["active"] if figure in RULES]
    last = {alarm["alarm"]: alarm for alarm in state["alarms"] if alarm["alarm"] in names}
    return [f"{name} at step {last[name]['step']}: {last[name]['message']}" for name in names]


def _trained(args: argparse.Namespace) -> Path | Forecast:
    """The folder of the run, or with --forecast what it would take."""
    from genloom import rehearsal, runs

    if args.resume is not None:
        if args.forecast:
            raise BadInput("--forecast is for a run that has not begun, --resume for one that has.")
        return runs.resume(args.resume, allow_code=args.allow_code, quiet=args.quiet)
    options = {name: getattr(args, name) for name in ("minutes", "steps", "images", "seed")}
    given = {"data": args.data, "model": args.model, "settings": args.settings}
    recipe = runs.compose(args.recipe, **given, options=options, allow_code=args.allow_code)
    where = {"out": args.out, "allow_code": args.allow_code}
    if args.forecast:
        return rehearsal.forecast(recipe, **where)
    again = "never" if args.new else "auto"
    return runs.start(recipe, **where, resume=again, quiet=args.quiet)


def _list(args: argparse.Namespace) -> None:
    """Every component; with --model the options of that family and its net."""
    from genloom import listing

    if args.model is not None:
        known = listing.options_of(args.model, allow_code=args.allow_code)
        report = {
            title: {name: option.default for name, option in options.items()}
            for title, options in known.items()
        }
        return show(args, report, _options_text(args))
    found, lines = listing.components(), list[str]()
    for kind, title in listing.TITLES.items():
        lines += [bold(title), *(f"  {n:15} {about}" for n, about in found[kind].items()), ""]
    lines.append("options of a family and its net: genloom train --model NAME --help")
    show(args, found, "\n".join(lines))


def _options_text(args: argparse.Namespace) -> str:
    from genloom import listing

    lines = list[str]()
    for title, options in listing.options_of(args.model, allow_code=args.allow_code).items():
        rows = (f"  {name:22} {listing.told(option)}" for name, option in options.items())
        lines += ["", bold(title), *rows]
    return "\n".join(lines[1:])


def sample(args: argparse.Namespace) -> None:
    """`genloom sample`: the options of the family become flags once the model is known."""
    if args.source is None:
        if args.help:
            return args.parser.print_help()
        raise BadInput("which model? Name a run: genloom sample RUN. See: genloom sample --help")
    from genloom import continuation, gallery, texts
    from genloom.artifact import load

    device = "cpu" if args.help else args.device
    artifact = load(args.source, device=device, allow_code=args.allow_code)
    options = family_options(args, artifact)
    if args.prompt is not None and continuation.answers(artifact):
        print("this model answers turns: --user TEXT, not --prompt", file=sys.stderr)
    source = None if args.picture is None else gallery.picture(args.picture)
    mask = None if args.mask is None else gallery.mask_of(args.mask, artifact.items, source)
    if source is not None:
        gallery.note_part(source, artifact.items)
    how = {name: getattr(args, name) for name in texts.FLAGS}
    if args.again is not None:
        flags = [
            name for name, value in {**how, "int8": args.int8}.items() if value not in (None, False)
        ]
        if flags:
            named = ", ".join("--" + name.replace("_", "-") for name in flags)
            raise BadInput(f"--again draws as its record says: it does not go with {named}.")
        record = gallery.record_of(args.again)
        items = gallery.again(artifact, record, source=source, mask=mask)
        args.out.mkdir(parents=True, exist_ok=True)
        path = args.out / f"{int(record['seed']):06d}.png"
        artifact.codec.write(items, [path], [record])
        return show(args, {"files": [str(path)], "model": artifact.hash}, str(path))
    draw, told = texts.way(artifact, device=args.device, int8=args.int8, **how)
    paths, items = gallery.write(
        artifact,
        args.n,
        args.out,
        seed=args.seed,
        label=args.label,
        caption=args.caption,
        source=source,
        mask=mask,
        negative=args.negative,
        batch=args.batch,
        with_grid=not args.no_grid,
        draw=draw,
        told=told,
        **options,
    )
    files = [str(path) for path in paths]
    text = f"{args.n} samples in {args.out}/"
    if artifact.items.kind == "text":
        text += "\n" + "\n---\n".join(map(artifact.items.read, items))
    elif len(paths) > args.n:
        text += f"; all of them: {paths[-1]}"
    if left := gallery.older(args.out, paths):
        print(f"note: {args.out}/ also holds {left} older files", file=sys.stderr)
    show(args, {"files": files, "model": artifact.hash, "seed": args.seed, **options}, text)


def family_options(
    args: argparse.Namespace, artifact: Artifact, more: Flags | None = None
) -> dict[str, Any]:
    """Parse what is left of the command line by the signature of the model's `sample_steps`.

    Args:
        args: Of the command line.
        artifact: The model.
        more: Adds flags that are no options of the family; `args` gets their values.
    """
    from genloom.core import options

    known = options(artifact.model.sample_steps)
    group = args.parser.add_argument_group(f"options of {artifact.name}")
    second = type(args.parser)(prog=args.parser.prog, add_help=False)
    for target in (group, second):
        _add_flags(target, known)
        if more is not None:
            more(target)
    if args.help:
        args.parser.print_help()
        raise SystemExit(0)
    found, rest = second.parse_known_args(args.rest)
    args.parser.check_rest(rest)
    given = vars(found)
    for name in given.keys() - known.keys():
        setattr(args, name, given[name])
    return {name: known[name].check(given[name]) for name in known if name in given}


def _add_flags(target: argparse._ActionsContainer, known: Mapping[str, Option]) -> None:
    """One flag for each option of a signature."""
    from genloom.listing import told

    for name, option in known.items():
        settings: dict[str, Any] = {"default": argparse.SUPPRESS, "help": told(option)}
        if option.type is bool:
            settings["action"] = argparse.BooleanOptionalAction
        else:
            settings["type"] = option.type
            settings["choices"] = option.choices or None
            settings["metavar"] = "|".join(map(str, option.choices)) or option.type.__name__.upper()
        target.add_argument(f"--{name.replace('_', '-')}", **settings)


def data_options(args: argparse.Namespace, read: Callable[..., Any]) -> dict[str, Any]:
    """What --set says of the data, for whoever reads them."""
    from genloom.components import checked
    from genloom.core import options
    from genloom.recipe import override

    tables = override({}, args.settings)
    asked = checked("data", options(read), tables.pop("data", {}))
    if tables:
        raise BadInput(f"--set {next(iter(tables))}...: {args.verb} takes data.KEY alone.")
    return asked


def compare(args: argparse.Namespace) -> None:
    """`genloom compare`."""
    from genloom.comparison import compare as compare_
    from genloom.recipe import override

    names = ("data", "minutes", "seeds", "n", "force", "out")
    given = {name: getattr(args, name) for name in names}
    if args.families is not None:
        given["families"] = [name for name in args.families.split(",") if name]
    tables = override({}, args.settings)
    for name, key in (("data", "data_options"), ("train", "train_overrides")):
        given[key] = tables.pop(name, None)
    if tables:
        raise BadInput(f"--set {next(iter(tables))}...: compare takes data.KEY and train.KEY.")
    with _only_json(args):
        result = compare_(*args.sources, **{k: v for k, v in given.items() if v is not None})
    show(args, result.as_dict(), str(result))


def data(args: argparse.Namespace) -> int:
    """`genloom data`; exit code 2 where the data cannot be trained on as they are."""
    from genloom import data as data_
    from genloom.recipe import open_data

    if args.action == "list":
        show(args, {"builtin": list(data_.BUILTIN)}, "\n".join(data_.BUILTIN))
        return 0
    if args.source is None:
        raise BadInput("check what? genloom data check PATH")
    asked = {name: getattr(args, name) for name in ("size", "channels", "length")}
    report = data_.check(args.source, **(asked | data_options(args, open_data)))
    show(args, report.as_dict(), report.text())
    return 0 if report.ready else BadInput.exit_code


def runs(args: argparse.Namespace) -> None:
    """`genloom runs`."""
    from genloom.runs import table

    found = table(args.folder)
    if not found:
        return show(args, {"runs": []}, f"no runs in {args.folder}/. Begin: genloom train --help")
    head = f"{'run':32} {'status':10} {'step':>15} {'minutes':>8}  alarms"
    lines = [bold(head)]
    for run in found:
        step = f"{run['step']}/{run['total'] or '?'}"
        alarms = ", ".join(map(str, run["alarms"])) or "-"
        minutes = (run["seconds"] or 0.0) / 60
        lines.append(f"{run['name']:32} {run['status']:10} {step:>15} {minutes:8.1f}  {alarms}")
    show(args, {"runs": found}, "\n".join(lines))


def card(args: argparse.Namespace) -> None:
    """`genloom card`."""
    from genloom.artifact import CARD as FILE
    from genloom.artifact import README, find

    folder = find(args.source)
    text = (folder / README).read_text(encoding="utf-8").rstrip()
    show(args, json.loads((folder / FILE).read_text(encoding="utf-8")), text)


def env(args: argparse.Namespace) -> None:
    """`genloom env`."""
    from genloom.environment import bfloat16_speed, describe

    facts = {**describe(), "bfloat16_speed": float(f"{bfloat16_speed():.2g}")}
    lines = []
    for name, value in facts.items():
        if isinstance(value, dict):
            value = ", ".join(f"{k} {v or '-'}" for k, v in value.items())
        lines.append(f"{name:15} {', '.join(value) if isinstance(value, list) else value}")
    show(args, facts, "\n".join(lines))


def completion(args: argparse.Namespace) -> None:
    """`genloom completion`."""
    try:
        import shtab
    except ImportError:
        raise need("shtab", "complete", "shell completion") from None
    print(shtab.complete(args.top, args.shell))
