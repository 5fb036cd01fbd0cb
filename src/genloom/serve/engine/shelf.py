"""The models of a worker: loaded when first asked for, put away when idle or when room is short."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any, final

from torch import nn

from genloom import artifact
from genloom.artifact import Artifact
from genloom.errors import BadInput, GenloomError, nearest
from genloom.int8 import pack
from genloom.nets.packed import block, packed
from genloom.serve.engine.faults import ModelUnavailable

log = logging.getLogger(__name__)


@final
class Shelf(Mapping[str, Artifact]):
    """Name -> artifact, for the names given; the only place that knows folders.

    Args:
        folders: Name -> folder of an artifact or a run.
        idle_s: Models that nobody asked for in this time are put away.
        budget: Bytes of weights on the shelf. Before a model is loaded, those asked for longest
            ago make room; those in use stay, even where that exceeds the budget.
        in_use: Names that must stay.
        int8: Names of models whose weights are packed, see `int8.pack`; they stay on the CPU.
        clock: Seconds.
    """

    def __init__(
        self,
        folders: Mapping[str, Path],
        *,
        idle_s: float = 600.0,
        budget: int | None = None,
        in_use: Callable[[], set[str]] = set,
        int8: Collection[str] = (),
        clock: Callable[[], float] = time.monotonic,
    ):
        self.folders, self.idle_s, self.budget = dict(folders), idle_s, budget
        self.in_use, self.int8, self.clock = in_use, int8, clock
        self._loaded: dict[str, Artifact] = {}  # in the order of the last use
        self._used: dict[str, float] = {}

    def __len__(self) -> int:
        return len(self.folders)

    def __iter__(self) -> Iterator[str]:
        return iter(self.folders)

    def __getitem__(self, name: str) -> Artifact:
        """The artifact, loaded now if need be.

        Raises:
            BadInput: There is no model of this name.
            ModelUnavailable: Its folder cannot be loaded.
        """
        if name not in self.folders:
            raise BadInput(f"there is no model {name!r}{nearest(name, self.folders)}")
        found = self._loaded.pop(name, None) or self._load(name)
        self._loaded[name] = found
        self._used[name] = self.clock()
        return found

    def sizes(self) -> dict[str, int]:
        """Bytes of weights of each model that is loaded."""
        return {name: weight_bytes(found.model) for name, found in self._loaded.items()}

    def sweep(self) -> None:
        """Put away what has been idle for too long."""
        busy, now = self.in_use(), self.clock()
        for name in [name for name in self._loaded if name not in busy]:
            if now - self._used[name] > self.idle_s:
                del self._loaded[name]

    def _load(self, name: str) -> Artifact:
        try:
            folder = artifact.find(self.folders[name])
            self._make_room(sum(p.stat().st_size for p in artifact.weights(folder)))
            small = name in self.int8
            found = artifact.load(folder, device="cpu" if small else "auto")
            model: Any = found.model
            if small:
                pack(model.net)
            elif hasattr(model, "decoding"):
                block(model.net)
            return found
        except (GenloomError, OSError) as error:
            # The message names folders, which are not for whoever asked.
            log.error("the model %s cannot be loaded: %s", name, error)
            raise ModelUnavailable(
                f"the model {name!r} cannot be loaded; the server's log says why."
            ) from error

    def _make_room(self, size: int) -> None:
        if self.budget is None:
            return
        busy, sizes = self.in_use(), self.sizes()
        for name in [name for name in self._loaded if name not in busy]:
            if sum(sizes.values()) + size <= self.budget:
                return
            del self._loaded[name], sizes[name]


def weight_bytes(model: nn.Module) -> int:
    """Bytes of a model's parameters and buffers, and of what was packed."""
    return sum(v.nbytes for v in (*model.parameters(), *model.buffers(), *packed(model)))
