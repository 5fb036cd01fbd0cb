"""A VQ-VAE's training against pythae's trainer: equal nets, parameters, batch and terms.

One repetition is one shuffled epoch over grey images in memory: 7x7 codes of 512, square error,
both codebooks of moving means. Pythae runs its BaseTrainer's epoch as its user would (data set
object, collation, bar), without checkpoints; our side is the library's `Learner`, with its moving
average, gradient norm and checks.
`genloom+prior` trains the transformer over codes in the same step, which pythae leaves to another
program. `bare` is what a careful loop can reach: our terms, fused Adam, and nothing else.

    python -m benchmarks.vqvae_step
"""

from __future__ import annotations

import contextlib
import io
import logging
import tempfile
from collections.abc import Callable, Iterator
from functools import partial
from importlib.metadata import version
from typing import Any

import torch
from torch import Tensor, nn

from benchmarks.harness import arguments, chosen, contest, report
from genloom.core import Real
from genloom.learner import Learner, Micro
from genloom.models.vqvae import Vqvae
from genloom.nets.grid_coder import grid_coder
from genloom.nets.layout import channels_last, to_channels_last
from genloom.options import TrainOptions

BATCH, IMAGES, CODES, FEATURES, RATE = 64, 640, 512, 16, 1e-3
SPACE = Real((1, 28, 28), levels=256)


def data(seed: int) -> Tensor:
    """Grey images, uint8 (n, 1, 28, 28)."""
    torch.manual_seed(seed)
    return torch.randint(0, 256, (IMAGES, 1, 28, 28), dtype=torch.uint8)


def vqvae() -> Vqvae:
    """Our model, laid out as the trainer does."""
    model = Vqvae(SPACE, {}, codes=CODES, features=FEATURES)
    to_channels_last(model)
    return model


def encoded(images: Tensor) -> Tensor:
    """In [-1, 1], channels fastest."""
    return channels_last(images.float().div_(127.5).sub_(1))


def bare(seed: int) -> Callable[[], None]:
    """An epoch of the least that a step can be."""
    images, coder = data(seed), vqvae().coder
    adam = torch.optim.Adam(coder.parameters(), lr=RATE, fused=True)

    def epoch() -> None:
        for ids in torch.randperm(len(images)).split(BATCH):
            terms, coded = coder.terms(encoded(images[ids]))
            torch.stack(list(terms.values())).sum().backward()
            adam.step()
            adam.zero_grad()
            coder.bottleneck.see(coded)
            coder.bottleneck.move()

    return epoch


def coder_alone(model: Vqvae, x: Tensor, cond: Any, step: Any) -> Iterator[tuple[str, Any]]:
    """The coder's turn and the codebook's move, without the prior."""
    terms, coded = model.coder.terms(x)
    yield "coder", terms
    model.coder.bottleneck.see(coded)
    model.coder.bottleneck.move()


def ours(seed: int, *, prior: bool) -> Callable[[], None]:
    """An epoch of our step, of the coder alone or with its prior."""
    images, model = data(seed), vqvae()
    if not prior:
        model.players = ("coder",)
        model.losses = partial(coder_alone, model)  # pyright: ignore[reportAttributeAccessIssue]
    options = TrainOptions(
        steps=1, lr=RATE, beta2=0.999, clip=None, schedule="constant", warmup=0.0, seed=seed
    )
    learner, index = Learner(model, options, total=10**6), 0

    def epoch() -> None:
        nonlocal index
        for ids in torch.randperm(len(images)).split(BATCH):
            x = encoded(images[ids])
            learner.step(index, [Micro(x, {}, 0, len(x), range(len(x)))])
            index += 1

    return epoch


def peer() -> Any:
    """Pythae's model around our nets."""
    logging.disable(logging.WARNING)
    from pythae.models import VQVAE, VQVAEConfig
    from pythae.models.base.base_utils import ModelOutput
    from pythae.models.nn import BaseDecoder, BaseEncoder

    encoder, decoder = grid_coder(SPACE, FEATURES, FEATURES)

    class PeerEncoder(BaseEncoder):
        def __init__(self) -> None:
            BaseEncoder.__init__(self)
            self.net: nn.Module = encoder

        def forward(self, x: Tensor) -> Any:
            return ModelOutput(embedding=self.net(x))

    class PeerDecoder(BaseDecoder):
        def __init__(self) -> None:
            BaseDecoder.__init__(self)
            self.net: nn.Module = decoder

        def forward(self, z: Tensor) -> Any:
            return ModelOutput(reconstruction=self.net(z))

    config = VQVAEConfig(
        input_dim=(1, 28, 28),
        latent_dim=FEATURES,
        num_embeddings=CODES,
        use_ema=True,
        decay=0.98,
    )
    return VQVAE(config, PeerEncoder(), PeerDecoder())


def pythae(seed: int, folder: str) -> Callable[[], None]:
    """An epoch of pythae's trainer."""
    images, model = data(seed), peer()
    from pythae.data.preprocessors import DataProcessor
    from pythae.trainers import BaseTrainer, BaseTrainerConfig

    trainer = BaseTrainer(
        model,
        DataProcessor().to_dataset(DataProcessor().process_data(images.float() / 127.5 - 1)),
        training_config=BaseTrainerConfig(
            output_dir=folder,
            per_device_train_batch_size=BATCH,
            learning_rate=RATE,
            num_epochs=1,
            no_cuda=True,
        ),
    )
    trainer.prepare_training()
    epochs = iter(range(1, 10**6))

    def epoch() -> None:
        with contextlib.redirect_stderr(io.StringIO()):
            trainer.train_step(next(epochs))

    return epoch


def count(module: nn.Module) -> int:
    """Trainable parameters."""
    return sum(p.numel() for p in module.parameters() if p.requires_grad)


def main() -> None:
    """Race the four sides."""
    args = arguments(__doc__ or "")
    with tempfile.TemporaryDirectory() as folder:
        mine, theirs = count(vqvae().coder), count(peer())
        if mine != theirs:
            raise SystemExit(f"{mine} parameters against {theirs}")
        result = contest(
            {
                "pythae": partial(pythae, args.seed, folder),
                "genloom": partial(ours, args.seed, prior=False),
                "genloom+prior": partial(ours, args.seed, prior=True),
                "bare": partial(bare, args.seed),
            },
            **chosen(args),
            items=IMAGES,
            baseline="pythae",
            unit="images",
            benchmark="vqvae_step",
            batch=BATCH,
            parameters=mine,
            pythae=version("pythae"),
        )
    report(f"VQ-VAE, batch {BATCH}, {mine:,} parameters", result, args.json)


if __name__ == "__main__":
    main()
