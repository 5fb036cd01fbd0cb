"""A server that others can reach has a key, or it does not start."""

from __future__ import annotations

import subprocess
import sys

import pytest

from tests.e2e.attacks.conftest import make_keys
from tests.e2e.attacks.wire import Wire
from tests.e2e.server import serving


@pytest.mark.parametrize("host", ["0.0.0.0", "::"])
def test_without_a_key_it_does_not_start(served_models, tmp_path, host):
    command = [sys.executable, "-m", "genloom", "serve", f"moons={served_models['moons']}"]
    command += ["--host", host, "--port", "0", "--folder", str(tmp_path / "state")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert done.returncode == 2
    assert done.stderr.count("\n") == 1 and "genloom keys add" in done.stderr


def test_with_a_key_it_starts_and_thirty_wrong_ones_are_enough(served_models, tmp_path):
    secret = make_keys(tmp_path / "state")["anna"]
    few = {"moons": served_models["moons"]}
    with serving(tmp_path / "state", few, "--host", "0.0.0.0") as server:
        wire = Wire(server.url)
        known = wire.with_key(secret)
        assert known.ask("GET", "/v1/models").status == 200
        assert wire.ask("GET", "/v1/models").status == 401
        guess = wire.with_key("gl-" + "a" * 43)
        statuses = [guess.ask("GET", "/v1/models").status for _ in range(40)]
        assert statuses[:30] == [401] * 30 and statuses.count(429) >= 5
        assert statuses[-1] == 429
        signing = [guess.ask("POST", "/v1/session", {"key": "gl-no"}).status for _ in range(2)]
        assert signing == [429, 429]
        for one in (wire, known, guess):
            one.close()
