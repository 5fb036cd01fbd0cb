"""The page on molecules does what it says, from a file of SMILES to drawings over HTTP."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
import urllib.request
from pathlib import Path

import pytest

from genloom.molecules.chemistry import canonical
from tests.e2e.server import serving

PAGE = Path(__file__).parents[2] / "docs" / "molecules.md"
FINE = {"evaluate": (0, 20)}  # two steps make no good model


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where the page's code ran, with two steps of training in place of minutes."""
    folder = tmp_path_factory.mktemp("molecules")
    said = ""
    for kind, code in re.findall(r"^```(\w+)\n(.*?)^```", PAGE.read_text("utf-8"), re.M | re.S):
        lines = [code] if kind == "python" else code.splitlines()
        for line in lines:
            words = shlex.split(line.replace("--minutes 2", "--steps 2"))
            command = ["-c", code] if kind == "python" else ["-m", *words]
            run = subprocess.run(
                [sys.executable, *command], cwd=folder, capture_output=True, text=True, timeout=300
            )
            fine = FINE.get(words[1], (0,)) if kind == "bash" else (0,)
            assert run.returncode in fine, (line, run.stderr)
            said += run.stdout
    assert "192 documents" in said and "12 distinct words" in said
    return folder


@pytest.mark.slow
def test_the_page_runs_and_leaves_molecules_drawings_and_a_report(folder):
    made = sorted((folder / "molecules").glob("*.smi"))
    assert len(made) == 8
    for path in made:
        told = json.loads(path.with_suffix(".smi.json").read_text())
        assert path.read_text() == told["smiles"] + "\n"
        assert told["valid"] == bool(canonical(told["smiles"]))
    assert (folder / "molecules" / "grid.svg").read_text().count("<title>") == 8
    verdict = json.loads((folder / "runs" / "molecules" / "verdict.json").read_text())
    names = {one["name"] for one in verdict["estimates"]} | {*verdict["refused"]}
    assert {"validity", "novelty", "internal_diversity", "qed_w1"} <= names
    page = (folder / "runs" / "molecules" / "report.html").read_text("utf-8")
    assert page.count("data:image/svg+xml;base64,") == 2 and "Valid molecules" in page


@pytest.mark.slow
def test_a_server_hands_out_smiles_and_drawings(folder, tmp_path):
    with serving(tmp_path / "serve", {"molecules": folder / "runs" / "molecules"}) as server:
        for form, kind in (("smi", "chemical/x-daylight-smiles"), ("svg", "image/svg+xml")):
            body = {"model": "molecules", "n": 1, "seed": 3, "format": form}
            request = urllib.request.Request(
                f"{server.url}/v1/generations",
                json.dumps(body).encode(),
                {"content-type": "application/json"},
            )
            with urllib.request.urlopen(request, timeout=60) as answer:
                (made,) = json.load(answer)["data"]
            assert made["media_type"] == kind
            with urllib.request.urlopen(f"{server.url}{made['url']}", timeout=60) as answer:
                content, headers = answer.read().decode(), answer.headers
            assert headers["content-type"].startswith(kind)
            assert headers["content-disposition"].startswith("attachment")
            assert content.endswith("\n") if form == "smi" else content.startswith("<svg")
