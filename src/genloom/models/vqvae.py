"""Autoencoders with discrete codes: van den Oord et al., 2017 (arXiv:1711.00937), and FSQ.

A datum becomes a coarse grid of code numbers, and a transformer learns how these follow each other:
Mentzer et al., 2023 (arXiv:2309.15505) for codes without a codebook.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import partial
from typing import Annotated, Any, final

from torch import Tensor

from genloom.core import Condition, Generative, Interval, Real, Rng, Space, Step, Terms, Tokens
from genloom.models.autoregressive import Autoregressive
from genloom.models.grid_coding import Error, GridCoding
from genloom.models.quantize import Codebook, Levels, perplexity
from genloom.nets.grid_coder import GridCoder, usual_coder
from genloom.nets.transformer import Transformer


@final
class Vqvae(Generative):
    """An encoder to a grid of codes, a decoder, and a prior over such grids.

    The article trains the prior when the codes are final. Here both are players of one run, each
    step the coder first and then, on the codes that it gave, the prior: one budget and one artifact
    make a model that can be sampled, and codes settle long before a run ends. The prior's gradient
    never reaches the coder, so the codes are those of the article.

    Deviations: the distortion is divided by the variance of the data, so that the weight of the
    commitment means the same for all of them; the codebook starts from features of data.

    Args:
        space: One datum, (C, *spatial), of 1 to 3 axes.
        conditions: Labels and real vectors, for the prior; the codes of a datum do not depend on
            them.
        net: Makes (encoder, decoder), see `grid_coder`.
        codes: Vectors in the codebook; without effect where `levels` are given.
        features: Of each vector.
        commitment: Weight of what draws the encoder to its codes (beta of Eq. 3).
        levels: Levels of each feature (FSQ): no codebook, and nothing to add to the loss.
        error: "l2" or "l1", between a datum and its reconstruction.
        prior_width: Features of a position of the prior's transformer.
        prior_layers: Its blocks.
        drop: Share of training rows whose conditions are hidden from the prior.
    """

    players = ("coder", "prior")
    recommended: Mapping[str, Any] = {
        "optimizer": "muon",
        "lr": 2e-3,
        "matrix_lr": 0.02,
        "beta1": 0.9,
        "beta2": 0.99,
        "batch": 64,
        "clip": None,
        "warmup": 0.02,
        "ema": 0.05,
    }

    def __init__(
        self,
        space: Real,
        conditions: Mapping[str, Space],
        *,
        net: GridCoder | None = None,
        codes: Annotated[int, Interval(ge=2)] = 512,
        features: Annotated[int, Interval(ge=1)] = 8,
        commitment: Annotated[float, Interval(ge=0)] = 0.25,
        levels: tuple[int, ...] = (),
        error: Error = "l2",
        prior_width: Annotated[int, Interval(ge=4)] = 96,
        prior_layers: Annotated[int, Interval(ge=1)] = 4,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        quantizer = Levels(levels) if levels else Codebook(codes, features, commitment=commitment)
        self.coder = GridCoding(space, net or self.usual_net(space), quantizer, error=error)
        self.code_shape, self.code_vocab = self.coder.grid, quantizer.vocab
        prior = partial(Transformer, width=prior_width, layers=prior_layers)
        self.prior = Autoregressive(
            Tokens(self.code_shape, self.code_vocab), conditions, net=prior, drop=drop
        )
        self.used: Tensor | None = None

    @staticmethod
    def usual_net(space: Real) -> GridCoder:
        """Convolutions that make a grid coarser by four, or by two where little would be left."""
        return usual_coder(space)

    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Measure the spread of the data and start the codebook from their features."""
        self.coder.prepare(x)

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """The coder's turn, then the prior's on the codes that the coder has just given."""
        terms, coded = self.coder.terms(x)
        possible = min(self.code_vocab, coded.codes.numel())
        self.used = perplexity(coded.codes, self.code_vocab) / possible
        yield "coder", terms
        self.coder.bottleneck.see(coded)
        yield "prior", self.prior.loss(coded.codes, cond)
        self.coder.bottleneck.move()  # by now every micro-batch has been seen

    def vitals(self) -> Mapping[str, Tensor]:
        """Perplexity of the last batch's codes, as a share of what it could be."""
        return {} if self.used is None else {"codebook_perplexity_share": self.used}

    def codes(self, x: Tensor) -> Tensor:
        """Code numbers of data: (B, *space.shape) -> (B, *code_shape), in [0, code_vocab)."""
        return self.coder.bottleneck.code(self.coder.encoder(x)).codes

    def from_codes(self, codes: Tensor) -> Tensor:
        """Data of code numbers: (B, *code_shape) -> (B, *space.shape)."""
        return self.coder.decoder(self.coder.bottleneck.lookup(codes))

    def encode(self, x: Tensor, cond: Condition) -> Tensor:
        """The vectors of a datum's codes: (B, *space.shape) -> (B, features, *code_shape)."""
        return self.coder.bottleneck.code(self.coder.encoder(x)).z

    def decode(self, z: Tensor, cond: Condition) -> Tensor:
        """What the decoder makes of vectors, which need not be those of codes."""
        return self.coder.decoder(z)

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        temperature: Annotated[float, Interval(ge=0, le=10)] = 1.0,
        top_k: Annotated[int, Interval(ge=0)] = 0,
        top_p: Annotated[float, Interval(ge=0, le=1)] = 1.0,
        min_p: Annotated[float, Interval(ge=0, le=1)] = 0.0,
    ) -> Iterator[Tensor]:
        """Yield the data after each row of codes; what is not drawn yet is code 0.

        The options are those of `decoding.filters.narrowed`; without them draws follow the prior.
        """
        drawn = self.prior.sample_steps(
            rng, cond, temperature=temperature, top_k=top_k, top_p=top_p, min_p=min_p
        )
        for i, codes in enumerate(drawn, 1):
            if i % self.code_shape[-1] == 0:
                yield self.from_codes(codes)


def fsq(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    net: GridCoder | None = None,
    levels: tuple[int, ...] = (8, 6, 5),
    error: Error = "l2",
    prior_width: Annotated[int, Interval(ge=4)] = 96,
    prior_layers: Annotated[int, Interval(ge=1)] = 4,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Vqvae:
    """Finite scalar quantization: Mentzer et al., 2023 (arXiv:2309.15505); 240 codes.

    The default levels are those of its Table 1 for about 2^8 codes; (8, 5, 5, 5) gives 1,000.
    """
    return Vqvae(
        space,
        conditions,
        net=net,
        levels=levels,
        error=error,
        prior_width=prior_width,
        prior_layers=prior_layers,
        drop=drop,
    )
