"""The state of a run on disk: safetensors and JSON, written aside, hashed, synced, renamed last.

A checkpoint is a folder `step-00001000/` with `weights`, `average` and `optimizer` as safetensors
and `state.json`, which holds the SHA-256 of each. A folder without a true `state.json` is not one.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from torch import Tensor

from genloom.errors import DiskFull

FORMAT = 1
Tensors = dict[str, dict[str, Tensor]]  # file -> name -> tensor


def digest(path: Path) -> str:
    """SHA-256 of a file, in hexadecimal."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@contextmanager
def naming_a_full_disk(folder: Path) -> Iterator[None]:
    """Turn 'no space left' from Python or from safetensors into DiskFull."""
    try:
        yield
    except (OSError, SafetensorError) as error:
        full = getattr(error, "errno", None) in (errno.ENOSPC, errno.EDQUOT)
        if not full and "os error 28" not in str(error) and "os error 122" not in str(error):
            raise
        raise DiskFull(
            f"the disk of {folder} is full. What was saved before is intact: "
            "make room and run the same command again."
        ) from error


def sync(path: Path) -> None:
    """Have the system write a file or a folder to the disk itself."""
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


@contextmanager
def replacing(folder: Path) -> Iterator[Path]:
    """Fill a new folder aside; it takes its name at once when the block ends, or never."""
    folder.parent.mkdir(parents=True, exist_ok=True)
    aside = folder.parent / f".{folder.name}.{os.getpid()}"
    shutil.rmtree(aside, ignore_errors=True)
    try:
        with naming_a_full_disk(folder.parent):
            aside.mkdir()
            yield aside
            for path in aside.iterdir():
                sync(path)
            sync(aside)
            old = folder.with_name(f".{folder.name}.old")
            shutil.rmtree(old, ignore_errors=True)
            if folder.exists():
                folder.rename(old)
            aside.rename(folder)
            sync(folder.parent)
            shutil.rmtree(old, ignore_errors=True)
    finally:
        shutil.rmtree(aside, ignore_errors=True)


def write_text(path: Path, text: str) -> None:
    """Replace a small file so that a reader sees the old text or the new one, never a part."""
    aside = path.with_name(f".{path.name}.{os.getpid()}")
    with naming_a_full_disk(path.parent):
        try:
            aside.write_text(text, encoding="utf-8")
            sync(aside)
            aside.rename(path)
        finally:
            aside.unlink(missing_ok=True)


def save(folder: Path, tensors: Tensors, state: Mapping[str, Any], *, keep: int) -> Path:
    """Write the checkpoint of state["step"] into `folder`, then drop all but the newest `keep`.

    Raises:
        DiskFull: Nothing that was there before has changed.
    """
    target = folder / f"step-{state['step']:08d}"
    with replacing(target) as aside:
        hashes = {}
        for name, group in tensors.items():
            path = aside / f"{name}.safetensors"
            save_file({k: v.detach().contiguous() for k, v in group.items()}, path)
            hashes[path.name] = digest(path)
        text = json.dumps({"format": FORMAT, **state, "files": hashes}, indent=1)
        (aside / "state.json").write_text(text)
    for old in sorted(folder.glob("step-*"))[:-keep]:
        shutil.rmtree(old)
    return target


def verify(path: Path) -> dict[str, Any] | None:
    """The state of a checkpoint whose files are all there and true, else None."""
    try:
        state = json.loads((path / "state.json").read_text())
        true = all(digest(path / name) == value for name, value in state["files"].items())
    except (OSError, ValueError, KeyError):
        return None
    return state if true and state["format"] == FORMAT else None


def newest(folder: Path) -> Path | None:
    """The newest checkpoint that verifies; leftovers of a killed save are removed."""
    for leftover in folder.glob(".step-*"):
        shutil.rmtree(leftover, ignore_errors=True)
    for path in sorted(folder.glob("step-*"), reverse=True):
        if verify(path) is not None:
            return path
    return None


def read(path: Path, device: torch.device | str = "cpu") -> tuple[Tensors, dict[str, Any]]:
    """The tensors and the state of a checkpoint that `newest` returned."""
    state = json.loads((path / "state.json").read_text())
    files = {name.removesuffix(".safetensors"): path / name for name in state["files"]}
    return {name: load_file(file, str(device)) for name, file in files.items()}, state


def pack_optimizers(named: Mapping[str, torch.optim.Optimizer]) -> dict[str, Tensor]:
    """The state of optimizers as flat tensors, 'name/parameter/key'.

    Learning rates are not in it: they are a function of the step.
    """
    return {
        f"{name}/{index}/{key}": value if isinstance(value, Tensor) else torch.tensor(value)
        for name, optimizer in named.items()
        for index, entry in optimizer.state_dict()["state"].items()
        for key, value in entry.items()
    }


def unpack_optimizers(
    named: Mapping[str, torch.optim.Optimizer], packed: Mapping[str, Tensor]
) -> None:
    """Give optimizers back the state that `pack_optimizers` took, in their parameters' layout."""
    for name, optimizer in named.items():
        params = [p for group in optimizer.param_groups for p in group["params"]]
        state: dict[int, dict[str, Tensor]] = {}
        for path, value in packed.items():
            owner, index, key = path.rsplit("/", 2)
            if owner == name:
                state.setdefault(int(index), {})[key] = _as_laid_out(value, params[int(index)])
        groups = optimizer.state_dict()["param_groups"]
        optimizer.load_state_dict({"state": state, "param_groups": groups})


def _as_laid_out(value: Tensor, parameter: Tensor) -> Tensor:
    if value.shape != parameter.shape:
        return value
    return torch.empty_like(parameter, dtype=value.dtype).copy_(value)
