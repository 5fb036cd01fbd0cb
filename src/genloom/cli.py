"""`genloom VERB`: one command per verb; it parses, calls and prints, and knows nothing else.

Nothing heavy is imported before a verb needs it, so that `--help` is immediate.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from genloom import __version__, edit_verb, evaluate_verb, export_verb, notes, tuning_verb, verbs
from genloom.errors import BadInput, GenloomError, nearest
from genloom.serve import verbs as serving

ABOUT = """\
Train, judge, compare and use generative models on your own data.

  genloom train --data digits --model flow --minutes 2
  genloom sample runs/digits-flow -n 16 --label 7 --out samples
  genloom evaluate runs/digits-flow
  genloom compare --data digits --families gan,vae,flow --minutes 1 --seeds 3
  genloom serve runs/digits-flow
"""

TRAIN = """\
Train a model on data.

The run folder holds everything, and a killed run goes on where it was.

examples:
  genloom train --data digits --model flow --minutes 2      built-in data, no download
  genloom train --data my_pictures/ --model gan --steps 2000 --set data.size=32
  genloom train recipes/digits-flow.toml --set train.lr=5e-4 --set model.drop=0.2
  genloom train --resume runs/digits-flow                   go on with a stopped run
  genloom train --list                                      families, nets, codecs
  genloom train --model mdlm --help                         its options, and those of its net
  torchrun --nproc-per-node 2 -m genloom train recipes/digits-flow.toml --out runs/two
"""

SAMPLE = """\
Draw samples from a model into files.

Each file holds the record that makes it again. RUN comes before the options of its family.
Of texts, what is written is --prompt or --user, and how it is drawn is one of --regex,
--json-schema, --form, --draft and --lookup; all else goes with both.

examples:
  genloom sample runs/digits-flow -n 16 --seed 0 --out samples
  genloom sample runs/digits-flow --label 7 --steps 20      options of the family are flags
  genloom sample runs/digits-flow --help                    lists those of this model
  genloom sample runs/names --regex "[A-Z][a-z]+"           or --json-schema FILE
  genloom sample runs/qm9-autoregressive --form valid       every text is a molecule
  genloom sample runs/tunes --prompt melody.mid -n 4        goes on with music, or with a text
  genloom sample runs/lines --prompt "He" --stop . --max-tokens 40
  genloom sample runs/talks --user "Who has it?" -n 1       the answer of a model of talks
  genloom sample runs/talks --user "How many?" --regex "[0-9]+"
  genloom sample runs/digits-flow --again samples/000003.png
  genloom sample runs/emoji-flow --caption "a red heart"    of data with data.captions=true
  genloom sample runs/photos-flow --source grey.png         of data with data.given=grey
"""

EDIT = """\
Change a picture with a trained model, or complete a text or music.

A model that was trained with a source (data.given) makes its datum from the picture; any other
diffusion model covers it with noise and draws it anew, as far as --strength says. Of a picture of
another form than the model's the middle is changed, and a note says so. With a mask, which has the
picture's form, only what is transparent in it may change; without transparency, what is white. A
model of masked diffusion fills the blanks of a text; where its data are music with
codec.use=voices, it writes the voices that a MIDI file has not. RUN and PICTURE come before the
options of the family.

examples:
  genloom edit runs/emoji-flow heart.png --strength 0.4 -n 8
  genloom edit runs/emoji-flow heart.png --mask left.png --caption "a blue heart"
  genloom edit runs/photos-flow hole.png --mask hole-mask.png    trained with data.given=masked
  genloom edit runs/lines-mdlm "He said ____ to her"             each _ is a letter or a piece
  genloom edit runs/chorales-mdlm soprano.mid -n 4               alto, tenor and bass to it
  genloom edit runs/chorales-mdlm chorale.mid --keep 0,3         two new middle voices
  genloom edit runs/photos-flow --help                           lists the options of this model
"""

EVALUATE = """\
Judge a run against the test part of its data.

Writes verdict.json and report.html. The exit code is 20 where the verdict is not a pass.

examples:
  genloom evaluate runs/digits-flow
  genloom evaluate digits-flow -n 1000 --json
  genloom evaluate digits-flow --guidance 2 --out judged/   options of the family are flags
  genloom evaluate digits-flow --steps-curve 1,4,16         quality against steps
  genloom evaluate my-llama/ --data talks.jsonl --out judged/   a checkpoint of others
"""

COMPARE = """\
Compare runs, or train families and compare them.

All have the same data, budget and seeds; the result is one page, and a table in
Markdown with pictures beside it.

examples:
  genloom compare runs/digits-flow runs/digits-gan
  genloom compare --data my_pictures/ --families gan,vae,flow --minutes 5 --seeds 3
  genloom compare --data digits --families vae,dcgan --minutes 1 --set train.batch=32
  genloom compare --data digits --families all --minutes 1   every family of images
"""

DATA = """\
Look at data before training on them.

examples:
  genloom data check my_pictures/      decode every file, name every bad one
  genloom data check talks.csv --set data.text_column=question,answer
  genloom data list                    data sets that need no download
"""

RUNS = """\
List runs, the newest first.

examples:
  genloom runs
  genloom runs --folder runs/demo --json
"""

CARD = """\
Show the model card of a run or an artifact.

examples:
  genloom card runs/digits-flow
  genloom card digits-flow --json
"""

ENV = """\
Show versions, threads, devices, and how fast bfloat16 is here.

examples:
  genloom env
  genloom env --json
"""

COMPLETION = """\
Print a completion script for a shell.

examples:
  genloom completion bash > ~/.local/share/bash-completion/completions/genloom
  genloom completion zsh > ~/.zfunc/_genloom
"""


class Parser(argparse.ArgumentParser):
    """A parser whose errors are one line and name what is nearest."""

    def __init__(self, *args: Any, **kwargs: Any):
        kwargs.setdefault("formatter_class", argparse.RawDescriptionHelpFormatter)
        super().__init__(*args, allow_abbrev=False, **kwargs)

    def error(self, message: str) -> NoReturn:
        """A line instead of the usage and an exit."""
        raise BadInput(f"{message}. See: {self.prog} --help")

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        if action.choices is not None and value not in action.choices:
            name = " ".join(action.option_strings) or str(action.metavar)
            raise BadInput(f"{name} {value!r} is unknown{nearest(str(value), action.choices)}")

    def check_rest(self, rest: Sequence[str]) -> None:
        """Refuse arguments that nobody knows."""
        if rest:
            flags = [flag for action in self._actions for flag in action.option_strings]
            word = rest[0].partition("=")[0]
            known = [flag for flag in flags if flag.startswith("--")]
            hint = nearest(word, known) if word.startswith("-") else "."
            raise BadInput(f"{self.prog} takes no {word!r}{hint}")


def parser() -> Parser:
    """The whole command line."""
    top = Parser(prog="genloom", description=ABOUT)
    top.add_argument("--version", action="version", version=f"genloom {__version__}")
    table = top.add_subparsers(dest="verb", metavar="VERB", parser_class=Parser)
    common = Parser(add_help=False)
    common.add_argument("--json", action="store_true", help="print one JSON object")

    def verb(name: str, about: str, run: Any, **kwargs: Any) -> Parser:
        first = about.splitlines()[0]
        made = table.add_parser(name, help=first, description=about, parents=[common], **kwargs)
        made.set_defaults(run=run, parser=made)
        return made

    _add_train(verb("train", TRAIN, verbs.train, add_help=False))
    _add_sample(verb("sample", SAMPLE, verbs.sample, add_help=False))
    _add_edit(verb("edit", EDIT, edit_verb.edit, add_help=False))
    made = verb("evaluate", EVALUATE, evaluate_verb.evaluate, add_help=False)
    _add_model(made)
    made.add_argument("-n", type=int, help="samples to judge by; default: as many as test data")
    made.add_argument("--seed", type=int, default=0, help="of the first sample")
    made.add_argument("--extractor", type=Path, metavar="FILE", help="Inception weights, for FID")
    made.add_argument("--force", action="store_true", help="measure what little data allow")
    made.add_argument("--out", type=Path, metavar="DIR", help="default: the run's own folder")
    made.add_argument("--data", metavar="PATH", help="to judge a checkpoint by, which brings none")
    _add_set(made, "how to read --data: data.KEY")
    _add_compare(verb("compare", COMPARE, verbs.compare))
    made = verb("data", DATA, verbs.data)
    made.add_argument("action", metavar="ACTION", choices=("check", "list"), help="check or list")
    made.add_argument("source", metavar="PATH", nargs="?", help="what to check")
    for name, text in (("size", "as in training"), ("channels", "1 or 3"), ("length", "of texts")):
        made.add_argument(f"--{name}", type=int, metavar="N", help=text)
    _add_set(made, "how PATH is read: data.KEY, as in training")
    made = verb("runs", RUNS, verbs.runs)
    made.add_argument("--folder", type=Path, default=Path("runs"), help="where to look")
    made = verb("card", CARD, verbs.card)
    made.add_argument("source", metavar="RUN", help="a run, its name, or an artifact")
    verb("env", ENV, verbs.env)
    serving.add_parsers(verb)
    tuning_verb.add_parsers(verb)
    export_verb.add_parsers(verb)
    made = verb("completion", COMPLETION, verbs.completion)
    made.add_argument("shell", metavar="SHELL", choices=("bash", "zsh", "tcsh"), help="bash, zsh")
    return top


def _add_train(made: Parser) -> None:
    text = "show this, with the options of --model and its net"
    made.add_argument("-h", "--help", action="store_true", help=text)
    made.add_argument("recipe", metavar="RECIPE", nargs="?", help="a TOML file")
    made.add_argument("--data", metavar="PATH", help="files of your own, or a built-in data set")
    made.add_argument("--model", metavar="NAME", help="a family; see --list")
    for name, kind, text in (
        ("minutes", float, "budget in minutes of wall-clock time; 5 where no budget is given"),
        ("steps", int, "budget in updates"),
        ("images", int, "budget in data seen"),
        ("seed", int, "of weights, data order and draws"),
    ):
        made.add_argument(f"--{name}", type=kind, metavar="N", help=text)
    made.add_argument("--out", type=Path, metavar="DIR", help="default: runs/DATA-MODEL")
    _add_set(made, "change one value of the recipe, such as train.lr=5e-4")
    made.add_argument("--resume", type=Path, metavar="RUN", help="go on with a stopped run")
    made.add_argument("--forecast", action="store_true", help="say how long and how large, and end")
    made.add_argument("--new", action="store_true", help="never go on with an unfinished run")
    made.add_argument("--allow-code", action="store_true", help='accept "module:Name" in RECIPE')
    made.add_argument("--quiet", action="store_true", help="no progress line")
    made.add_argument("--list", action="store_true", help="name every family, net and codec")


def _add_model(made: Parser) -> None:
    """A model, whose own options become flags once it is known."""
    made.add_argument("-h", "--help", action="store_true", help="show this, with RUN's options")
    made.add_argument("source", metavar="RUN", nargs="?", help="a run, its name, or an artifact")
    made.add_argument("--allow-code", action="store_true", help="run the code that RUN names")
    made.set_defaults(flags_of_model=True)


def _add_sample(made: Parser) -> None:
    _add_model(made)
    made.add_argument("-n", type=int, default=16, help="how many (16)")
    made.add_argument("--seed", type=int, default=0, help="of the first sample (0)")
    _add_conditions(made)
    made.add_argument("--source", dest="picture", type=Path, metavar="PNG", help="to make it from")
    made.add_argument("--negative", metavar="TEXT", help="what it should not show")
    made.add_argument("--out", type=Path, default=Path("samples"), help="folder (samples)")
    made.add_argument("--batch", type=int, default=64, help="at a time; no effect on samples (64)")
    made.add_argument("--no-grid", action="store_true", help="no picture of all samples")
    made.add_argument("--prompt", metavar="TEXT", help="what texts begin with; of music, a .mid")
    made.add_argument("--user", metavar="TEXT", help="a turn of a talk; the answers are shown")
    made.add_argument("--system", metavar="TEXT", help="what the model is told before that")
    made.add_argument(
        "--stop", metavar="TEXT", action="append", help="ends a text; may be repeated"
    )
    made.add_argument("--max-tokens", type=int, metavar="N", help="the most to draw of a text")
    made.add_argument("--regex", metavar="REGEX", help="what is drawn matches it as a whole")
    made.add_argument("--json-schema", type=Path, metavar="FILE", help="what is drawn is such JSON")
    made.add_argument("--form", choices=("valid",), help="music or molecules without a wrong word")
    made.add_argument("--draft", metavar="RUN", help="a smaller model that guesses, for speed")
    made.add_argument("--lookup", action="store_true", help="guess by what the text said before")
    made.add_argument("--int8", action="store_true", help="weights of int8: faster, other samples")
    made.add_argument("--again", type=Path, metavar="PNG", help="make this very picture again")


def _add_conditions(made: Parser) -> None:
    made.add_argument("--label", metavar="CLASS", help="name or index of a class; -1: none")
    made.add_argument("--caption", metavar="TEXT", help="what it should show")
    made.add_argument("--mask", type=Path, metavar="PNG", help="clear or white: may differ")
    made.add_argument("--device", default="auto", help="as torch names it (auto)")


def _add_edit(made: Parser) -> None:
    _add_model(made)
    made.add_argument("picture", metavar="PICTURE", nargs="?", help="a file, or a text")
    made.add_argument("-n", type=int, default=4, help="how many results (4)")
    made.add_argument("--seed", type=int, default=0, help="of the first result (0)")
    made.add_argument("--strength", type=float, metavar="S", help="share drawn anew, 0 to 1 (0.6)")
    made.add_argument("--keep", metavar="0,3", help="voices of music that stay; else all given")
    _add_conditions(made)
    made.add_argument("--out", type=Path, default=Path("edited"), help="folder (edited)")


def _add_compare(made: Parser) -> None:
    made.add_argument("sources", metavar="RUN", nargs="*", help="finished runs to compare")
    made.add_argument("--data", metavar="PATH", help="train on this, then compare")
    made.add_argument("--families", metavar="A,B", help="families to train, by commas; or all")
    made.add_argument("--minutes", type=float, metavar="M", help="budget of each training")
    made.add_argument("--seeds", type=int, metavar="N", help="trainings of each family")
    made.add_argument("-n", type=int, help="samples to judge each by")
    made.add_argument("--force", action="store_true", help="measure what little data allow")
    made.add_argument("--out", type=Path, metavar="DIR", help="folder of the page and the runs")
    _add_set(made, "change one value of every recipe: data.KEY or train.KEY")


def _add_set(made: Parser, text: str) -> None:
    made.add_argument(
        "--set", action="append", default=[], metavar="TABLE.KEY=VALUE", dest="settings", help=text
    )


def _fail(message: str, code: int, *, kind: str, as_json: bool) -> int:
    line = " ".join(message.split())
    print(f"{verbs.styled('genloom:', '31', sys.stderr)} {line}", file=sys.stderr)
    if as_json:
        print(json.dumps({"error": line, "kind": kind, "exit_code": code}))
    return code


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command line; gives the exit code."""
    given = list(sys.argv[1:] if argv is None else argv)
    as_json = "--json" in given
    top = parser()
    try:
        args, rest = top.parse_known_args(given)
        if args.verb is None:
            top.check_rest(rest)
            top.print_help()
            return 0
        args.rest, args.top = rest, top
        if not getattr(args, "flags_of_model", False) or args.source is None:
            args.parser.check_rest(rest)
        with notes.told() as args.notes:
            return args.run(args) or 0
    except GenloomError as error:
        code = error.exit_code
        return _fail(str(error), code, kind=type(error).__name__, as_json=as_json)
    except KeyboardInterrupt:
        return _fail("interrupted.", 130, kind="Interrupted", as_json=as_json)
    except BrokenPipeError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        return _fail(str(error), 2, kind="OSError", as_json=as_json)
    except (MemoryError, RuntimeError) as error:
        if (line := _lacking(error)) is None:
            raise
        return _fail(line, 2, kind="MemoryError", as_json=as_json)


def _lacking(error: Exception) -> str | None:
    """What to say of an error that means that there is not enough memory; None of another."""
    text = str(error)
    if not (isinstance(error, MemoryError) or re.search("allocate memory|out of memory", text)):
        return None
    asked = re.search(r"allocate ([\d.]+) ?(bytes|[KMGT]iB)", text)
    what = f": {asked[1]} {asked[2]} were asked for at once" if asked else ""
    return (
        f"there is not enough memory{what}. Make it smaller: the net (model.width), train.batch, "
        "or -n of samples."
    )


if __name__ == "__main__":
    sys.exit(main())
