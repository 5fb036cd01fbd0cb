"""The README does what it says: its code blocks run, in both languages the same ones."""

from __future__ import annotations

import re
import shlex
import socket
import subprocess
import sys
import time
import tomllib
import urllib.request
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from genloom import recipe
from genloom.cli import parser

ROOT = Path(__file__).parents[2]
README, CHINESE = ROOT / "README.md", ROOT / "README.zh.md"
VERBS = (
    *("train", "sample", "edit", "tune", "evaluate", "compare", "export", "serve"),
    *("keys", "verify"),
    *("data", "runs", "card", "env"),
)
FINE = {"evaluate": (0, 20), "verify": (0, 1)}  # two steps make no good model; samples are unmarked
TINY = {  # a reader's budget -> the test's
    r"(compare .*)--minutes \d+": r"\1--minutes 0.05",
    r"--minutes \d+(?!\.)": "--steps 2",
    r"minutes=\d+": "steps=2",
    r"--steps 200": "--steps 2",
}


def blocks(path: Path) -> list[tuple[str, str]]:
    """(language, code) of every fenced block."""
    return re.findall(r"^```(\w+)\n(.*?)^```", path.read_text(encoding="utf-8"), re.M | re.S)


def lines() -> list[str]:
    """Every shell line of the README that runs genloom."""
    return [line for kind, code in blocks(README) if kind == "bash" for line in code.splitlines()]


def tiny(code: str) -> str:
    for pattern, small in TINY.items():
        code = re.sub(pattern, small, code)
    return code


def test_both_languages_have_the_same_blocks_and_sections():
    assert blocks(README) == blocks(CHINESE)
    pages = [page.read_text(encoding="utf-8") for page in (README, CHINESE)]
    english, chinese = (re.findall(r"^## ([a-z]+)$", page, re.M) for page in pages)
    assert english == chinese
    assert english == list(VERBS)


def test_every_command_parses():
    for line in lines():
        name, *arguments = shlex.split(line)
        assert name == "genloom"
        if "--help" in arguments:
            continue
        args, rest = parser().parse_known_args(arguments)
        assert not rest or args.verb == "sample", line  # options of the family


def test_the_make_targets_are_there():
    makefile = (ROOT / "Makefile").read_text()
    for kind, code in blocks(README):
        for target in re.findall(r"^make (\w+)", code if kind == "sh" else "", re.M):
            assert re.search(rf"^{target}:", makefile, re.M), target


def test_the_recipe_resolves():
    (text,) = [code for kind, code in blocks(README) if kind == "toml"]
    assert recipe.resolve(tomllib.loads(text)).name == "digits-flow"


def test_links_lead_to_files_and_sections():
    for page in (README, CHINESE):
        text = page.read_text(encoding="utf-8")
        sections = re.findall(r"^## (\S+)$", text, re.M)
        for target in re.findall(r"\]\(([^)]+)\)", text):
            if target.startswith("#"):
                assert target[1:] in sections, target
            else:
                assert (ROOT / target).exists(), target


def pictures(folder: Path) -> None:
    """60 pictures of their maker's own, in two classes."""
    rng = np.random.default_rng(0)
    for kind, (low, high) in {"dark": (0, 120), "light": (130, 255)}.items():
        (folder / kind).mkdir(parents=True)
        for i in range(30):
            pixels = rng.integers(low, high, (16, 16), np.uint8)
            Image.fromarray(pixels).save(folder / kind / f"{i}.png")


@contextmanager
def served(line: str, port: int, folder: Path):
    """The server of a line of the README, on another port, until this ends."""
    command = [sys.executable, "-m", *shlex.split(line), "--port", str(port)]
    server = subprocess.Popen(command, cwd=folder)
    try:
        for _ in range(300):
            time.sleep(0.2)
            with suppress(OSError), urllib.request.urlopen(f"http://127.0.0.1:{port}/readyz"):
                break
        yield
    finally:
        server.terminate()
        assert server.wait(60) == 0


@pytest.mark.slow
def test_the_code_blocks_run(tmp_path):
    pictures(tmp_path / "my_pictures")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    said = ""
    with ExitStack() as stack:
        for kind, code in blocks(README):
            code = tiny(code).replace(":8000", f":{port}")
            commands = []
            if kind == "bash":
                commands = [
                    [sys.executable, "-m", *shlex.split(line)] for line in code.splitlines()
                ]
            elif kind == "python":
                commands = [[sys.executable, "-c", code]]
            for command in commands:
                if command[3:4] == ["serve"]:
                    stack.enter_context(served(shlex.join(command[2:]), port, tmp_path))
                    continue
                done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
                fine = FINE.get(command[3] if kind == "bash" else "", (0,))
                assert done.returncode in fine, (command, done.stderr)
                said += done.stdout if kind == "python" else ""
    assert "torch.Size([1, 1, 8, 8])" in said and "4 pictures of 8x8" in said
    run = tmp_path / "runs" / "digits-flow"
    assert (run / "verdict.json").is_file()
    assert "<html" in (run / "report.html").read_text(encoding="utf-8")
    assert "<html" in (tmp_path / "runs" / "compare" / "report.html").read_text(encoding="utf-8")
    original, again = (tmp_path / name / "000003.png" for name in ("samples", "again"))
    assert original.read_bytes() == again.read_bytes()
