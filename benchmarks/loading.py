"""Loading: batches from genloom's pack against `datasets` imagefolder and a plain Pillow loop.

1,500 PNG of 32x32x3 noise, batches of 64, random flip, float32 in [-1, 1] out, no worker process.
Sides take turns within each round, in rotated order; a ratio is taken per round, then the median.
The one-off cost of packing is measured and printed.

    python -m benchmarks.loading --rounds 25
"""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader

from benchmarks.harness import CLOCKS, Clock, arguments, race, report
from genloom import codecs, data

IMAGES, BATCH = 1500, 64
Side = Callable[[], Iterator[Tensor]]


def make_folder(folder: Path, n: int) -> None:
    """PNG files of noise, in two classes."""
    rng = np.random.default_rng(0)
    for i in range(n):
        path = folder / "ab"[i % 2] / f"{i:05d}.png"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(rng.integers(0, 256, (32, 32, 3), np.uint8)).save(path)


def genloom_side(folder: Path, cache: Path, seed: int, clock: Clock) -> tuple[Side, float]:
    """The pack as the trainer reads it, and the seconds that packing took."""
    start = CLOCKS[clock]()
    dataset = data.open_dataset(folder, valid=0.0, test=0.0, flip=True, cache=cache)
    packing = CLOCKS[clock]() - start
    codec = codecs.Image(dataset.items)

    def epoch() -> Iterator[Tensor]:
        for position in range(IMAGES // BATCH):
            items, _, _ = dataset.train.batch(position, BATCH, seed)
            yield codec.encode(dataset.augment(items))

    return epoch, packing


def _flipped(array: np.ndarray) -> Tensor:
    x = torch.from_numpy(array).permute(2, 0, 1).float().div_(127.5).sub_(1)
    return x.flip(-1) if torch.rand(()) < 0.5 else x


def datasets_side(folder: Path, cache: Path, form: str) -> Side:
    """`datasets` imagefolder behind a DataLoader; "pil" or "numpy" rows."""
    import datasets

    loaded = datasets.load_dataset(
        "imagefolder", data_dir=str(folder), split="train", cache_dir=str(cache)
    )
    if form == "numpy":
        loaded = loaded.with_format("numpy")

    def collate(rows: list[dict]) -> Tensor:
        return torch.stack([_flipped(np.array(row["image"])) for row in rows])

    def epoch() -> Iterator[Tensor]:
        yield from DataLoader(
            loaded, batch_size=BATCH, shuffle=True, drop_last=True, collate_fn=collate
        )

    return epoch


def pillow_side(folder: Path) -> Side:
    """The usual Dataset that opens a file for each item."""
    paths = sorted(folder.rglob("*.png"))

    class Pictures(torch.utils.data.Dataset):
        def __len__(self) -> int:
            return len(paths)

        def __getitem__(self, i: int) -> Tensor:
            with Image.open(paths[i]) as image:
                return _flipped(np.array(image.convert("RGB")))

    def epoch() -> Iterator[Tensor]:
        yield from DataLoader(Pictures(), batch_size=BATCH, shuffle=True, drop_last=True)

    return epoch


def consume(side: Side, n: int) -> None:
    """One epoch of n images."""
    seen = 0
    for x in side():
        assert x.dtype == torch.float32 and x.shape[1:] == (3, 32, 32)
        seen += len(x)
    assert seen == n, (seen, n)


def main() -> None:
    import datasets

    args = arguments(__doc__)
    torch.manual_seed(args.seed)
    datasets.disable_progress_bars()
    with tempfile.TemporaryDirectory() as scratch:
        folder, cache = Path(scratch, "images"), Path(scratch, "cache")
        folder.mkdir()
        make_folder(folder, IMAGES)
        packed, packing = genloom_side(folder, cache, args.seed, args.clock)
        sides = {
            "datasets": datasets_side(folder, cache, "pil"),
            "datasets_numpy": datasets_side(folder, cache, "numpy"),
            "pillow": pillow_side(folder),
            "genloom": packed,
        }
        n = IMAGES // BATCH * BATCH
        result = race(
            {name: partial(consume, side, n) for name, side in sides.items()},
            rounds=args.rounds,
            items=n,
            baseline="datasets",
            unit="images",
            clock=args.clock,
            warmup=2,
            seed=args.seed,
            images=IMAGES,
            batch=BATCH,
            packing_s=packing,
            target="genloom at least 15 x datasets",
            peers={"datasets": version("datasets"), "pillow": version("pillow")},
        )
    report("Loading batches of images", result, args.json)
    speed = f"{packing:.2f} s of {args.clock} time ({IMAGES / packing:,.0f} images/s)"
    print(f"\nPacking {IMAGES} PNG, once: {speed}")


if __name__ == "__main__":
    main()
