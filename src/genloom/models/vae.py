"""Variational autoencoders: Kingma and Welling, 2013 (arXiv:1312.6114).

One class: an autoencoder is beta = 0 without noise, a beta-VAE has beta > 1 (Higgins et al., 2017),
a CVAE is a VAE with conditions (Sohn et al., 2015), an importance-weighted one has draws > 1 (Burda
et al., 2015, arXiv:1509.00519).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from typing import Annotated, Any, Literal, final

import torch
from torch import Tensor, nn

from genloom.core import (
    Condition,
    Generative,
    Interval,
    Real,
    Rng,
    Space,
    Step,
    Terms,
    hide,
    normal,
    uniform,
)
from genloom.errors import BadInput, Refused
from genloom.models import likelihoods
from genloom.nets.conv import conv_coder, halvings
from genloom.nets.dense import mlp_coder

Coder = Callable[[Real, int, int, Mapping[str, Space]], tuple[nn.Module, nn.Module]]
BOUND_DRAWS = 64
ROWS_AT_ONCE = 4096  # of the decoder, when a bound is taken with many draws


@final
class Vae(Generative):
    """A latent Gaussian, a decoder with a likelihood, and an encoder that guesses the latent.

    Args:
        space: One datum; with levels it lies in [-1, 1].
        conditions: Labels and real vectors, for the encoder and the decoder.
        net: Makes (encoder, decoder) from (space, latent, factors, conditions); None is a small
            convolutional pair for a grid of even size, an MLP pair otherwise.
        latent: Size of the code.
        likelihood: None: what suits the space ("bernoulli" for two levels, "dlogistic" for more,
            "gaussian" without levels).
        scale: Of a Gaussian or logistic: "global", one learned number, or "pixel", the decoder's
            second output. None: "global" for a Gaussian, "pixel" for a logistic.
        binarize: Treatment of grey data under a Bernoulli likelihood: "dynamic" draws each value as
            a bit anew at each visit (Salakhutdinov and Murray, 2008), "threshold" cuts at the
            middle. The model is then of black and white pictures, with no likelihood of grey ones.
        beta: Weight of the rate (the Kullback-Leibler divergence of posterior and prior).
        free_bits: Nats per latent dimension that cost nothing (Kingma et al., 2016,
            arXiv:1606.04934, Eq. 15); per datum rather than per batch, so that micro-batches equal
            the whole batch.
        anneal: Share of the run over which beta rises from 0.
        draws: Latents per datum in training; above 1 the loss is the importance-weighted bound.
        noisy: Draw the latent; False is a plain autoencoder, whose rate does not count.
        drop: Share of training rows whose conditions are hidden.
    """

    recommended: Mapping[str, Any] = {
        "optimizer": "adamw",
        "lr": 1e-3,
        "beta1": 0.9,
        "beta2": 0.99,
        "batch": 128,
        "clip": 100.0,
        "warmup": 0.02,
        "ema": 0.10,
    }

    def __init__(
        self,
        space: Real,
        conditions: Mapping[str, Space],
        *,
        net: Coder | None = None,
        latent: Annotated[int, Interval(ge=1)] = 32,
        likelihood: Literal["bernoulli", "gaussian", "dlogistic"] | None = None,
        scale: Literal["global", "pixel"] | None = None,
        binarize: Literal["dynamic", "threshold"] | None = None,
        beta: Annotated[float, Interval(ge=0)] = 1.0,
        free_bits: Annotated[float, Interval(ge=0)] = 0.0,
        anneal: Annotated[float, Interval(ge=0, le=1)] = 0.0,
        draws: Annotated[int, Interval(ge=1)] = 1,
        noisy: bool = True,
        drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
    ):
        super().__init__(space, conditions)
        if draws > 1 and (beta != 1 or free_bits or anneal or not noisy):
            raise BadInput(
                f"draws = {draws} trains the importance-weighted bound, which has no weight on its "
                "rate. Set draws = 1, or leave beta, free_bits, anneal and noisy as they are."
            )
        self.expected = likelihoods.make(space, likelihood, scale, binarized=binarize is not None)
        if binarize and not isinstance(self.expected, likelihoods.Bernoulli):
            raise BadInput(
                f"binarize = {binarize!r} needs likelihood = 'bernoulli', not {likelihood!r}."
            )
        net = net or self.usual_net(space)
        self.encoder, self.decoder = net(space, latent, self.expected.factors, conditions)
        self.latent, self.binarize, self.beta, self.free_bits = latent, binarize, beta, free_bits
        self.anneal, self.draws, self.noisy, self.drop = anneal, draws, noisy, drop
        if noisy and not binarize:  # only then is this a `core.Likelihood`
            self.likelihood: Literal["bound"] = "bound"
        self.posterior_nats: Tensor | None = None

    @staticmethod
    def usual_net(space: Real) -> Coder:
        """Convolutions where every axis can be halved, perceptrons otherwise."""
        return conv_coder if halvings(space.shape[1:]) else mlp_coder

    def prepare(self, x: Tensor, cond: Condition) -> None:
        """Start the likelihood's scale from the spread of the data."""
        self.expected.prepare(x)

    def losses(self, x: Tensor, cond: Condition, step: Step) -> Iterator[tuple[str, Terms]]:
        """The loss, with the weight of the rate where the run stands."""
        grown = min(step.fraction / self.anneal, 1.0) if self.anneal else 1.0
        yield "", self._terms(x, cond, self.beta * grown)

    def loss(self, x: Tensor, cond: Condition) -> Terms:
        """Distortion and rate in nats per datum, or the negative importance-weighted bound."""
        return self._terms(x, cond, self.beta)

    def vitals(self) -> Mapping[str, Tensor]:
        """Nats that the code carries about a datum."""
        if self.posterior_nats is None or not self.noisy:
            return {}
        return {"posterior_nats": self.posterior_nats}

    def posterior(self, x: Tensor, cond: Condition) -> tuple[Tensor, Tensor]:
        """Mean and log deviation of the latent given the datum, (B, latent) each."""
        mean, log_std = self.encoder(x, cond).chunk(2, 1)
        return mean, log_std.clamp(-8, 4)

    def encode(self, x: Tensor, cond: Condition) -> Tensor:
        """The posterior's mean: (B, *space.shape) -> (B, latent)."""
        return self.posterior(x, cond)[0]

    def decode(self, z: Tensor, cond: Condition) -> Tensor:
        """The likelihood's mean: (B, latent) -> (B, *space.shape)."""
        return self.expected.mean(self.decoder(z, cond))

    def log_prob(self, x: Tensor, cond: Condition) -> Tensor:
        """The importance-weighted bound with 64 draws; see `bound`."""
        return self.bound(x, cond, BOUND_DRAWS)

    def bound(self, x: Tensor, cond: Condition, k: int) -> Tensor:
        """A lower bound on the log-likelihood, in nats, (B,); tighter with more draws.

        Burda et al., 2015 (arXiv:1509.00519), Eq. 8. The noise is that of a fixed seed, drawn on
        the CPU, so that the same batch always has the same bound.

        Raises:
            Refused: The model has no likelihood of these data.
        """
        if not self.noisy or self.binarize:
            what = "an autoencoder" if not self.noisy else f"binarize = {self.binarize!r}"
            raise Refused(f"{what} gives no likelihood of these data; use noise and 'dlogistic'.")
        mean, log_std = self.posterior(x, cond)
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            per_turn = max(1, ROWS_AT_ONCE // len(x))
            parts = []
            for start in range(0, k, per_turn):
                eps = normal(len(x), min(per_turn, k - start), self.latent, device=_CPU)
                parts.append(self._log_weights(x, cond, mean, log_std, eps.to(x)))
        return torch.cat(parts, 1).logsumexp(1) - math.log(k)

    def sample_steps(
        self,
        rng: Rng,
        cond: Condition,
        *,
        noise: bool = False,
        temperature: Annotated[float, Interval(ge=0, le=2)] = 1.0,
    ) -> Iterator[Tensor]:
        """One guess: the likelihood's mean, or with `noise` a draw from it.

        Temperature scales the latent: below 1, more typical and less diverse.
        """
        out = self.decoder(rng.normal(self.latent) * temperature, cond)
        yield self.expected.draw(out, rng) if noise else self.expected.mean(out)

    def _terms(self, x: Tensor, cond: Condition, beta: float) -> Terms:
        x, cond = self._bits(x), self._hidden(cond, x)
        mean, log_std = self.posterior(x, cond)
        rates = (mean.square() + (2 * log_std).exp() - 1) / 2 - log_std
        self.posterior_nats = rates.detach().sum(1).mean()
        if self.draws > 1:
            eps = normal(len(x), self.draws, self.latent, device=x.device)
            weights = self._log_weights(x, cond, mean, log_std, eps)
            return {"bound": -(weights.logsumexp(1) - math.log(self.draws)).mean()}
        if not self.noisy:
            return {"distortion": -self.expected.log_prob(self.decoder(mean, cond), x).mean()}
        z = mean + log_std.exp() * normal(len(x), self.latent, device=x.device)
        distortion = -self.expected.log_prob(self.decoder(z, cond), x).mean()
        if self.free_bits:
            rates = rates.clamp(min=self.free_bits)
        return {"distortion": distortion, "rate": beta * rates.sum(1).mean()}

    def _log_weights(
        self, x: Tensor, cond: Condition, mean: Tensor, log_std: Tensor, eps: Tensor
    ) -> Tensor:
        """Log of p(x, z) / q(z | x) at z = mean + std * eps; eps: (B, k, latent) -> (B, k)."""
        n, k, _ = eps.shape
        z = mean[:, None] + log_std.exp()[:, None] * eps
        rows = {name: v.repeat_interleave(k, 0) for name, v in cond.items()}
        out = self.decoder(z.flatten(0, 1), rows)
        said = self.expected.log_prob(out, x.repeat_interleave(k, 0)).view(n, k)
        # The normal densities' constants cancel.
        prior, guess = -z.square() / 2, -eps.square() / 2 - log_std[:, None]
        return said + (prior - guess).sum(2)

    def _bits(self, x: Tensor) -> Tensor:
        if self.binarize is None:
            return x
        level = uniform(*x.shape, device=x.device) * 2 - 1 if self.binarize == "dynamic" else 0.0
        return torch.where(x > level, 1.0, -1.0)

    def _hidden(self, cond: Condition, x: Tensor) -> Condition:
        if not cond or not self.drop:
            return cond
        return hide(cond, uniform(len(x), device=x.device) < self.drop)


_CPU = torch.device("cpu")


def autoencoder(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    net: Coder | None = None,
    latent: Annotated[int, Interval(ge=1)] = 32,
) -> Vae:
    """A plain autoencoder: no noise, no rate, a Gaussian whose scale is learned.

    Its samples decode standard normal codes, which nothing in its training prepares for.
    """
    return Vae(
        space, conditions, net=net, latent=latent, likelihood="gaussian", beta=0.0, noisy=False
    )


def cvae(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    net: Coder | None = None,
    latent: Annotated[int, Interval(ge=1)] = 32,
    likelihood: Literal["bernoulli", "gaussian", "dlogistic"] | None = None,
    binarize: Literal["dynamic", "threshold"] | None = None,
    beta: Annotated[float, Interval(ge=0)] = 1.0,
) -> Vae:
    """A VAE given labels: Sohn et al., 2015 (Learning structured output representation).

    With beta = 2 the codes keep closer to the prior, and samples keep closer to their label.

    Raises:
        BadInput: The data have no labels.
    """
    if not conditions:
        raise BadInput("cvae needs labelled data; these have no condition. Use 'vae'.")
    return Vae(
        space,
        conditions,
        net=net,
        latent=latent,
        likelihood=likelihood,
        binarize=binarize,
        beta=beta,
    )


def beta_vae(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    net: Coder | None = None,
    latent: Annotated[int, Interval(ge=1)] = 10,
    beta: Annotated[float, Interval(ge=0)] = 4.0,
) -> Vae:
    """A VAE with a heavier rate: Higgins et al., 2017 (beta-VAE), Eq. 4."""
    return Vae(space, conditions, net=net, latent=latent, beta=beta)
