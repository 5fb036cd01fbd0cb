"""`genloom evaluate`; nothing heavy is imported until it is called."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from genloom.errors import BadInput
from genloom.verbs import bold, data_options, family_options, show

if TYPE_CHECKING:
    from genloom.artifact import Artifact

FAILED = 20  # exit code of a verdict that is not a pass


def evaluate(args: argparse.Namespace) -> int:
    """`genloom evaluate`; exit code 20 where the verdict is not a pass."""
    if args.source is None:
        if args.help:
            args.parser.print_help()
            return 0
        raise BadInput("judge which run? genloom evaluate RUN. See: genloom evaluate --help")
    from genloom.artifact import load
    from genloom.runs import judge

    device = "cpu" if args.help else "auto"
    artifact = load(args.source, device=device, allow_code=args.allow_code)
    options = family_options(args, artifact, _add_steps_curve)
    if args.steps_curve is not None:
        options["steps_curve"] = _counts(args.steps_curve)
    if args.data is not None:
        artifact, options["dataset"] = _on_data(args)

    def say(line: str) -> None:
        print(line, file=sys.stderr, flush=True)

    verdict, folder = judge(
        artifact,
        n=args.n,
        seed=args.seed,
        extractor=args.extractor,
        force=args.force,
        out=args.out,
        progress=None if args.json else say,
        **options,
    )
    page = folder / "report.html"
    lines = [bold(f"{'measure':20} {'value':>9}  {'95 % interval':22} {'floor':>9} {'trivial':>9}")]
    for e in verdict.estimates:
        interval = f"{_number(e.low)} to {_number(e.high)}"
        floor, trivial = _number(e.floor), _number(e.trivial)
        lines.append(f"{e.name:20} {_number(e.value):>9}  {interval:22} {floor:>9} {trivial:>9}")
    lines += _steps_lines(verdict.steps_curve)
    lines += [f"not measured: {name}: {reason}" for name, reason in verdict.refused.items()]
    lines += [f"warning: {line}" for line in verdict.warnings]
    lines += [f"FAIL: {line}" for line in verdict.failures] or ["pass: no copies of training items"]
    lines.append(f"page: {page}")
    show(args, {**verdict.as_dict(), "report": str(page)}, "\n".join(lines))
    return 0 if verdict.passed else FAILED


def _on_data(args: argparse.Namespace) -> tuple[Artifact, Any]:
    """A checkpoint of others, and the data that it is to be judged by as it reads them."""
    from genloom.artifact import is_checkpoint
    from genloom.hub import causal
    from genloom.recipe import open_data

    if not is_checkpoint(args.source):
        raise BadInput(f"--data is for checkpoints of others: {args.source} is judged by its own.")
    if args.out is None:
        raise BadInput("--data needs --out DIR: nothing is written beside the weights of others.")
    dataset = open_data(args.data, **{"tokenizer": args.source, **data_options(args, open_data)})
    return causal.load(args.source, length=dataset.items.shape[0]), dataset


def _counts(text: str) -> list[int]:
    """The counts of --steps-curve."""
    try:
        return [int(part) for part in text.split(",") if part]
    except ValueError:
        raise BadInput(
            f"--steps-curve {text!r} is no list of counts. Give whole numbers by commas: 1,4,16."
        ) from None


def _add_steps_curve(target: argparse._ActionsContainer) -> None:
    """Quality against steps; of models that take steps."""
    from genloom.metrics.steps import COUNTS

    usual = ",".join(map(str, COUNTS))
    target.add_argument(
        "--steps-curve",
        metavar="1,4,16",
        nargs="?",
        const=usual,
        help=f"judge the samples of other counts of steps too; without counts: {usual}",
    )


def _steps_lines(curve: Mapping[str, Any]) -> list[str]:
    """Quality against steps as a table: the distance, and what a sample costs."""
    if not curve:
        return []
    head = (
        f"{'steps':>5} {curve['name']:>14}  {'95 % interval':22} {'evaluations':>11}  ms a sample"
    )
    lines = [bold(head)]
    for point in curve["points"]:
        interval = f"{_number(point['low'])} to {_number(point['high'])}"
        lines.append(
            f"{point['steps']:>5} {_number(point['value']):>14}  {interval:22} "
            f"{_number(point['evaluations']):>11}  {_number(1000 * point['seconds'])}"
        )
    return [*lines, f"n = {curve['n']} at each; real against real {_number(curve['floor'])}"]


def _number(value: float | None) -> str:
    return "-" if value is None else f"{value:.4g}"
