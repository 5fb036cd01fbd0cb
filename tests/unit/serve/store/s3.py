"""An S3 server of the tests' own, in a process of its own, that forgets everything at its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

BUCKET = "loom"


@contextmanager
def server(folder: Path) -> Iterator[dict[str, str]]:
    """Start one with a bucket, give the environment that leads to it, and end it; or skip."""
    pytest.importorskip("s3fs", reason="S3 needs s3fs")
    pytest.importorskip("moto.server", reason="the tests' S3 server is moto[server]")
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    url = f"http://127.0.0.1:{port}"
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with (folder / "s3.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log)
        try:
            _make_bucket(url, process, folder / "s3.log")
            yield {
                "AWS_ENDPOINT_URL": url,
                "AWS_ACCESS_KEY_ID": "tests",
                "AWS_SECRET_ACCESS_KEY": "tests",
                "AWS_DEFAULT_REGION": "us-east-1",
                "AWS_EC2_METADATA_DISABLED": "true",
            }
        finally:
            process.send_signal(signal.SIGTERM)
            process.wait(30)


def _make_bucket(url: str, process: subprocess.Popen[bytes], log: Path) -> None:
    asked = urllib.request.Request(f"{url}/{BUCKET}", method="PUT")
    until = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(asked, timeout=10).close()
            return
        except OSError:
            assert process.poll() is None and time.monotonic() < until, log.read_text()
            time.sleep(0.1)


@contextmanager
def environment(more: dict[str, str]) -> Iterator[None]:
    """These variables for this process and those that it starts, until the end of the block."""
    before = dict(os.environ)
    os.environ.update(more)
    try:
        yield
    finally:
        os.environ.clear()
        os.environ.update(before)
