"""Blobs: whole or absent, and nothing but an id finds one."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from genloom.errors import BadInput
from genloom.serve.store import Blobs, NotFound, ids

from .traversals import PAYLOADS

ROOT = Path(__file__).parents[4]


def test_bytes_come_back_and_go(blobs):
    content = os.urandom(100_000)
    one, two = blobs.put(content), blobs.put(content)
    assert one != two
    assert (blobs.get(one), blobs.get(two)) == (content, content)
    assert blobs.get(blobs.put(b"")) == b""
    blobs.delete(one)
    for missing in (blobs.get, blobs.delete):
        with pytest.raises(NotFound, match="no such blob"):
            missing(one)
    assert blobs.get(two) == content


def test_ids_have_one_form():
    many = {ids.fresh() for _ in range(1000)}
    assert len(many) == 1000
    assert all(ids.checked(one, "blob") == one for one in many)


class Untouchable:
    """A file system that nothing may be asked of."""

    def __getattr__(self, name):
        return lambda *asked: pytest.fail(f"{name} was asked for {asked}")


def test_what_is_no_id_is_not_found_and_reaches_no_file(tmp_path, monkeypatch):
    blobs = Blobs(tmp_path / "blobs")
    monkeypatch.setattr(blobs, "_fs", Untouchable())
    for payload in PAYLOADS:
        for ask in (blobs.get, blobs.delete):
            with pytest.raises(NotFound, match=r"^there is no such blob\.$"):
                ask(payload)


def test_there_are_enough_payloads():
    assert len(set(PAYLOADS)) >= 200


@pytest.mark.parametrize("odd", [None, 3, b"a" * 26, ["a" * 26], Path("a" * 26)])
def test_an_id_is_text(blobs, odd):
    with pytest.raises(NotFound):
        blobs.get(odd)


def test_the_folder_is_private_and_holds_nothing_else(tmp_path):
    blobs = Blobs(tmp_path / "deep" / "blobs")
    one = blobs.put(b"x")
    found = [path for path in (tmp_path / "deep").rglob("*") if path.is_file()]
    assert found == [tmp_path / "deep" / "blobs" / one[:2] / one]
    assert (tmp_path / "deep" / "blobs").stat().st_mode & 0o777 == 0o700


def test_a_killed_writer_leaves_no_half(tmp_path):
    code = (
        "import os, sys; from genloom.serve.store import Blobs, blobs\n"
        "b = Blobs(sys.argv[1]); print(b.put(b'whole'), flush=True)\n"
        "blobs.fresh = lambda: 'a' * 26\n"
        "os.fsync = lambda handle: os.kill(os.getpid(), 9)\n"
        "b.put(b'half')\n"
    )
    command = [sys.executable, "-c", code, tmp_path]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == -9
    blobs = Blobs(tmp_path)
    assert blobs.get(done.stdout.strip()) == b"whole"
    with pytest.raises(NotFound):
        blobs.get("a" * 26)


def test_a_failed_writer_clears_up(tmp_path, monkeypatch):
    blobs = Blobs(tmp_path)

    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        blobs.put(b"x")
    assert [path for path in tmp_path.rglob("*") if path.is_file()] == []


@pytest.mark.parametrize(
    "url",
    [
        "http://x/y",
        "https://x/y",
        "ftp://x/y",
        "zip://a::s3://b",
        "simplecache::s3://b",
        "memory://a::file://b",
        "q://",
    ],
)
def test_other_kinds_of_store_are_refused(url, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(BadInput, match="cannot keep blobs"):
        Blobs(url)
    assert list(tmp_path.iterdir()) == []
