"""What may be named, and the options of a family and its net, are listed with their defaults."""

from __future__ import annotations

import json
import subprocess
import sys

import pytest

from genloom import catalog
from genloom.cli import main
from genloom.components import accepted
from genloom.core import Interval, Option, Real
from genloom.listing import options_of, told
from genloom.models.meanflow import MeanFlow
from genloom.recipe import resolve


@pytest.mark.parametrize("name", catalog.names("model"))
def test_every_option_of_every_family_is_listed_with_its_default(name):
    listed = options_of(name)
    own, *nets = listed.values()
    known = accepted(catalog.find(name))
    assert set(known) - set(own) <= {"net", *(n for n in known if name == "ensemble")}
    assert all(own[key].default == known[key].default for key in own)
    assert ("net" in known) == bool(nets) and all(nets)


@pytest.mark.parametrize(
    ("source", "name", "where"),
    [("moons", "flow", "points"), ("digits", "mdlm", ""), ("digits", "vae", "pictures")],
)
def test_a_net_is_listed_as_recipes_record_it(source, name, where):
    plan = resolve({"data": {"source": source}, "model": {"use": name}, "train": {"steps": 1}})
    recorded = plan.recipe["model"]["net"]
    (title,) = (t for t in options_of(name) if t.startswith(f"options of {recorded['use']},"))
    assert (f" for {where}" in title) == bool(where)
    own = {k: o.default for k, o in options_of(name)[title].items()}
    assert {k: v for k, v in own.items() if v is not None} == {
        k: v for k, v in recorded.items() if k != "use"
    }


def test_what_the_family_chooses_for_its_net_is_the_default_that_is_listed():
    unet = next(o for title, o in options_of("meanflow").items() if "unet" in title)
    chosen = MeanFlow.usual_net(Real((3, 32, 32))).keywords
    assert {name: unet[name].default for name in chosen} == chosen
    assert any(accepted(catalog.find("unet"))[name].default != v for name, v in chosen.items())


def test_what_an_option_may_be_is_said_in_words():
    assert told(Option("k", int, 0, Interval(ge=0))) == "default 0, at least 0"
    assert told(Option("k", int, 0, Interval(le=3))) == "default 0, at most 3"
    assert told(Option("k", float, 1.0, Interval(ge=0, le=2))) == "default 1.0, from 0 to 2"
    assert told(Option("k", str, "a", Interval(), ("a", "b"))) == "default a: a|b"
    assert told(Option("k", float, None, optional=True)) == "default none"


def test_the_help_of_a_family_lists_its_options_and_those_of_its_net(capsys):
    assert main(["train", "--model", "autoregressive", "--help"]) == 0
    out = capsys.readouterr().out
    assert "examples:" in out
    own, _, net = out.partition("\noptions of transformer, its usual net (--set model.net.KEY")
    assert "  learned                default all: all|answers|preferred\n" in own
    assert "  rank                   default none, at least 0\n" in own
    assert "  width  " in net and "  learned" not in net
    assert main(["train", "--model", "autoregressive", "--list", "--json"]) == 0
    first, second = json.loads(capsys.readouterr().out).values()
    assert (
        first["learned"] == "all"
        and second["width"] == accepted(catalog.find("transformer"))["width"].default
    )
    assert main(["train", "--list"]) == 0
    assert "genloom train --model NAME --help" in capsys.readouterr().out
    assert main(["train", "--model", "mdml", "--help"]) == 2
    assert "did you mean 'mdlm'" in capsys.readouterr().err


def test_help_without_a_family_needs_no_torch():
    code = "import sys; from genloom.cli import main; main(['train', '--help'])"
    code += "; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.endswith("\nFalse\n")
