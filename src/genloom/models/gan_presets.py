"""The named GANs of the literature, each a setting of `Gan` with its usual nets and rates."""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from typing import Annotated, Any, Literal

from genloom.core import Interval, Real, Space
from genloom.models.gan import Gan, Players
from genloom.nets.dcgan import dcgan_players
from genloom.nets.dense import mlp_players
from genloom.nets.diffaug import Augment
from genloom.nets.resgan import biggan_players, sn_players

ADAM_2015: Mapping[str, Any] = {**Gan.recommended, "lr": 2e-4, "beta1": 0.5, "beta2": 0.999}


def _convolutional(space: Real, width: int, *, batchnorm: bool) -> Players:
    if len(space.shape) == 1:
        return partial(mlp_players, width=4 * width, norm="batch")
    return partial(dcgan_players, width=width, batchnorm=batchnorm)


def mlp_gan(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    latent: Annotated[int, Interval(ge=1)] = 64,
    width: Annotated[int, Interval(ge=1)] = 256,
    depth: Annotated[int, Interval(ge=1)] = 3,
    norm: Literal["none", "batch", "rms"] = "batch",
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Gan:
    """The first GAN of the articles: two MLPs, the non-saturating loss, Adam at 2e-4.

    Goodfellow et al., 2014 (arXiv:1406.2661), with the batch normalization of the usual tutorials.
    """
    net = partial(mlp_players, width=width, depth=depth, norm=norm)
    model = Gan(space, conditions, net=net, latent=latent, loss="ns", penalty="none", drop=drop)
    model.recommended = ADAM_2015
    return model


def dcgan(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    latent: Annotated[int, Interval(ge=1)] = 100,
    width: Annotated[int, Interval(ge=1)] = 32,
    augment: Augment = "none",
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Gan:
    """DCGAN: Radford et al., 2015 (arXiv:1511.06434), section 4; Adam at 2e-4, beta1 0.5."""
    net = _convolutional(space, width, batchnorm=True)
    model = Gan(
        space,
        conditions,
        net=net,
        latent=latent,
        loss="ns",
        penalty="none",
        augment=augment,
        drop=drop,
    )
    model.recommended = ADAM_2015
    return model


def lsgan(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    latent: Annotated[int, Interval(ge=1)] = 100,
    width: Annotated[int, Interval(ge=1)] = 32,
    augment: Augment = "none",
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Gan:
    """DCGAN's nets with the least-squares loss: Mao et al., 2016 (arXiv:1611.04076)."""
    net = _convolutional(space, width, batchnorm=True)
    model = Gan(
        space,
        conditions,
        net=net,
        latent=latent,
        loss="ls",
        penalty="none",
        augment=augment,
        drop=drop,
    )
    model.recommended = ADAM_2015
    return model


def wgan_gp(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    latent: Annotated[int, Interval(ge=1)] = 100,
    width: Annotated[int, Interval(ge=1)] = 32,
    turns: Annotated[int, Interval(ge=1)] = 5,
    gamma: Annotated[float, Interval(ge=0)] = 10.0,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Gan:
    """WGAN with a gradient penalty: Gulrajani et al., 2017 (arXiv:1704.00028), Algorithm 1.

    The critic has no batch normalization, for its penalty is per sample (section 4 there).
    """
    net = _convolutional(space, width, batchnorm=False)
    model = Gan(
        space,
        conditions,
        net=net,
        latent=latent,
        loss="wgan",
        penalty="gp",
        gamma=gamma,
        turns=turns,
        drop=drop,
    )
    model.recommended = {**Gan.recommended, "lr": 1e-4, "beta1": 0.0, "beta2": 0.9}
    return model


def wgan(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    latent: Annotated[int, Interval(ge=1)] = 100,
    width: Annotated[int, Interval(ge=1)] = 32,
    turns: Annotated[int, Interval(ge=1)] = 5,
    bound: Annotated[float, Interval(ge=0)] = 0.01,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Gan:
    """Wasserstein GAN with weight clipping: Arjovsky et al., 2017 (arXiv:1701.07875), Alg. 1.

    Deviation: Adam without its first moment in place of RMSProp, the same but for the correction
    of the first steps.
    """
    net = _convolutional(space, width, batchnorm=True)
    model = Gan(
        space,
        conditions,
        net=net,
        latent=latent,
        loss="wgan",
        penalty="clip",
        bound=bound,
        turns=turns,
        drop=drop,
    )
    model.recommended = {**Gan.recommended, "lr": 5e-5, "beta1": 0.0, "beta2": 0.99}
    return model


def sngan(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    latent: Annotated[int, Interval(ge=1)] = 128,
    width: Annotated[int, Interval(ge=1)] = 16,
    turns: Annotated[int, Interval(ge=1)] = 5,
    augment: Augment = "none",
    adaptive: Annotated[float | None, Interval(ge=-1, le=1)] = None,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Gan:
    """GAN with spectral normalization: Miyato et al., 2018 (arXiv:1802.05957), appendix B.4.

    Raises:
        BadInput: The data are no grid that can be halved.
    """
    model = Gan(
        space,
        conditions,
        net=partial(sn_players, width=width),
        latent=latent,
        loss="hinge",
        penalty="none",
        turns=turns,
        augment=augment,
        adaptive=adaptive,
        drop=drop,
    )
    model.recommended = {**Gan.recommended, "lr": 2e-4, "beta1": 0.0, "beta2": 0.9}
    return model


def biggan(
    space: Real,
    conditions: Mapping[str, Space],
    *,
    latent: Annotated[int, Interval(ge=1)] = 120,
    width: Annotated[int, Interval(ge=1)] = 16,
    turns: Annotated[int, Interval(ge=1)] = 2,
    attention: bool = True,
    orthogonal: Annotated[float, Interval(ge=0)] = 1e-4,
    augment: Augment = "none",
    adaptive: Annotated[float | None, Interval(ge=-1, le=1)] = None,
    drop: Annotated[float, Interval(ge=0, le=1)] = 0.1,
) -> Gan:
    """BigGAN, small: Brock et al., 2019 (arXiv:1809.11096), appendix C.

    Deviation: both players at a rate of 2e-4, as in its authors' CIFAR setting, where the article
    has 5e-5 for the generator.

    Raises:
        BadInput: The data are no grid that can be halved.
    """
    model = Gan(
        space,
        conditions,
        net=partial(biggan_players, width=width, attention=attention),
        latent=latent,
        loss="hinge",
        penalty="none",
        turns=turns,
        orthogonal=orthogonal,
        augment=augment,
        adaptive=adaptive,
        drop=drop,
    )
    model.recommended = {**Gan.recommended, "lr": 2e-4, "beta1": 0.0, "beta2": 0.999}
    return model
