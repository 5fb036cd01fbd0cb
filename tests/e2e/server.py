"""A real server in a process of its own, over small models that are made for it."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import torch

from genloom.artifact import save
from genloom.recipe import resolve

TEXT = "the loom weaves the thread and the thread holds the cloth\n" * 40
RECIPES: dict[str, dict[str, Any]] = {
    "digits": {"use": "flow", "net": {"use": "unet", "width": 16, "levels": 2, "head": 16}},
    "codes": {"use": "vae", "latent": 4, "net": {"use": "mlp_coder", "width": 32}},
    "words": {
        "use": "autoregressive",
        "net": {"use": "transformer", "width": 32, "layers": 1, "heads": 2},
    },
    "moons": {"use": "gan", "net": {"use": "mlp_players", "width": 16}},
}


def make_models(folder: Path) -> dict[str, Path]:
    """Artifacts with random weights, none of them zero: name -> folder."""
    (folder / "words.txt").write_text(TEXT, "utf-8")
    sources = {"words": str(folder / "words.txt"), "moons": "moons"}
    made = {}
    for name, model in RECIPES.items():
        data: dict[str, Any] = {"source": sources.get(name, "digits")}
        if name == "words":
            data["length"] = 32
        torch.manual_seed(0)
        plan = resolve({"data": data, "model": model, "train": {"steps": 1}})
        with torch.no_grad():
            for p in plan.model.parameters():
                p.add_(0.05 * torch.randn_like(p))
        card = {"data": {"name": name, "fingerprint": plan.dataset.fingerprint}}
        items = plan.dataset.items
        save(folder / name, model=plan.model, recipe=plan.recipe, items=items, card=card)
        made[name] = folder / name
    return made


@dataclass
class Server:
    """Where a server is, and how it was started."""

    url: str
    folder: Path
    command: list[str]
    log: Path
    process: subprocess.Popen[bytes] | None = field(default=None, repr=False)

    def start(self) -> None:
        """Start, and wait until it has made a sample."""
        environment = os.environ | {"OMP_NUM_THREADS": "1"}
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(
                self.command, stdout=log, stderr=log, env=environment, start_new_session=True
            )
        until = time.monotonic() + 60
        while time.monotonic() < until:
            assert self.process.poll() is None, self.log.read_text()[-3000:]
            try:
                with urllib.request.urlopen(f"{self.url}/readyz", timeout=5):
                    return
            except OSError:
                time.sleep(0.1)
        raise AssertionError(f"not ready in a minute: {self.log.read_text()[-3000:]}")

    def kill(self, number: signal.Signals = signal.SIGTERM) -> int:
        """Send a signal to the server's own process and wait for its end; the exit code."""
        assert self.process is not None
        self.process.send_signal(number)
        return self.process.wait(60)


@contextmanager
def serving(folder: Path, models: dict[str, Path], *more: str):
    """A running server with its state in `folder`; it is ended afterwards."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    words = [f"{name}={path}" for name, path in models.items()]
    command = [sys.executable, "-m", "genloom", "serve", *words, "--port", str(port)]
    command += ["--folder", str(folder), *more]
    server = Server(f"http://127.0.0.1:{port}", folder, command, folder.with_suffix(".log"))
    try:
        server.start()
        yield server
    finally:
        if server.process is not None and server.process.poll() is None:
            server.kill()
