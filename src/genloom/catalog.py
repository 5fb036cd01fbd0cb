"""The closed catalog: every short name that a recipe may use, in one literal table.

A new component is one line here. Nothing else decides what a recipe or an artifact may name.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping
from importlib import import_module
from pathlib import Path
from typing import Any, Literal, NamedTuple

from genloom.errors import BadInput, MissingExtra, nearest

Kind = Literal["model", "net", "codec"]


class Entry(NamedTuple):
    """A component: what it is, where it lives ("module:Name"), and a line for `--list`."""

    kind: Kind
    target: str
    about: str


def _model(target: str, about: str) -> Entry:
    return Entry("model", f"genloom.models.{target}", about)


def _net(target: str, about: str) -> Entry:
    return Entry("net", f"genloom.nets.{target}", about)


def _codec(target: str, about: str) -> Entry:
    return Entry("codec", f"genloom.codecs:{target}", about)


CATALOG: dict[str, Entry] = {
    "gan": _model("gan:Gan", "relativistic GAN with R1 and R2 (R3GAN); fast, sharp"),
    "dcgan": _model("gan_presets:dcgan", "the convolutional GAN of 2015, non-saturating loss"),
    "mlp_gan": _model("gan_presets:mlp_gan", "the first GAN: two perceptrons"),
    "wgan_gp": _model("gan_presets:wgan_gp", "Wasserstein GAN with gradient penalty"),
    "lsgan": _model("gan_presets:lsgan", "least-squares GAN"),
    "wgan": _model("gan_presets:wgan", "Wasserstein GAN with weight clipping"),
    "sngan": _model("gan_presets:sngan", "residual GAN with spectral normalization"),
    "biggan": _model("gan_presets:biggan", "residual GAN with labels in every block; truncation"),
    "began": _model("began:Began", "boundary equilibrium GAN: an autoencoder discriminates"),
    "pix2pix": _model("pix2pix:Pix2Pix", "translates pictures; learns from pairs"),
    "cyclegan": _model("cyclegan:CycleGan", "translates pictures; learns from two sets, no pairs"),
    "vae": _model("vae:Vae", "variational autoencoder; a likelihood bound and a latent code"),
    "autoencoder": _model("vae:autoencoder", "reconstructs; no distribution over codes is learned"),
    "cvae": _model("vae:cvae", "variational autoencoder given a label"),
    "beta_vae": _model("vae:beta_vae", "variational autoencoder with a weighted KL term"),
    "hvae": _model("hvae:Hvae", "hierarchical VAE: latents on several grids, top down"),
    "vqvae": _model("vqvae:Vqvae", "autoencoder with discrete codes, and a prior over them"),
    "fsq": _model("vqvae:fsq", "discrete codes without a codebook, and a prior over them"),
    "kl_autoencoder": _model(
        "kl_autoencoder:KlAutoencoder", "autoencoder to a grid of real codes, for latent models"
    ),
    "flow": _model("diffusion:flow", "flow matching: straight paths from noise to data"),
    "diffusion": _model(
        "diffusion:Diffusion", "denoising diffusion; target and noise law by option"
    ),
    "ddpm": _model("diffusion:ddpm", "the diffusion model of 2020: predicts the noise"),
    "edm": _model("diffusion:edm", "diffusion with the preconditioning of Karras et al., 2022"),
    "realnvp": _model("glow:realnvp", "normalizing flow over fixed masks; a density or a bound"),
    "glow": _model("glow:Glow", "normalizing flow over learned channel mixes; a likelihood"),
    "meanflow": _model("meanflow:MeanFlow", "average velocity: samples in 1 to 4 steps"),
    "distilled": _model(
        "distilled:Distilled", "a few-step student of a trained flow or diffusion model"
    ),
    "ensemble": _model("ensemble:Ensemble", "several models as one mixture; see genloom ensemble"),
    "autoregressive": _model(
        "autoregressive:Autoregressive", "decoder over tokens: text, pixels; an exact likelihood"
    ),
    "rnn": _model("recurrent:rnn", "Elman's recurrent net over tokens; an exact likelihood"),
    "lstm": _model("recurrent:lstm", "long short-term memory over tokens; an exact likelihood"),
    "gru": _model("recurrent:gru", "gated recurrent units over tokens; an exact likelihood"),
    "transformer_xl": _model(
        "transformer_xl:transformer_xl", "decoder with a memory of earlier segments of a row"
    ),
    "music_transformer": _model(
        "music_transformer:music_transformer", "decoder with learned embeddings of distances"
    ),
    "seq2seq": _model(
        "seq2seq:seq2seq", "encoder and decoder over prompts and answers: data with roles"
    ),
    "mdlm": _model(
        "masked_diffusion:MaskedDiffusion", "masked diffusion over tokens, in any order; infilling"
    ),
    "music_vae": _model(
        "music_vae:MusicVae", "codes of documents, decoded in segments; a likelihood bound"
    ),
    "frames": _model("frames:Frames", "recurrent net over frames of piano rolls; exact likelihood"),
    "pixelcnn": _model("pixel:pixelcnn", "gated masked convolutions over pixels; exact likelihood"),
    "pixelrnn": _model("pixel:pixelrnn", "LSTM over rows or diagonals of pixels"),
    "pixelcnnpp": _model(
        "pixelcnnpp:PixelCnnPlusPlus", "pixels one by one, mixed logistics; exact bits of a picture"
    ),
    "unet": _net("unet:UNet", "U-Net over 1 to 3 spatial axes, for diffusion and flow"),
    "dit": _net("dit:Dit", "transformer over patches, 1 to 3 spatial axes, for diffusion and flow"),
    "mlp": _net("mlp:Mlp", "perceptron for points and flattened grids, for diffusion and flow"),
    "transformer": _net("transformer:Transformer", "decoder over tokens, for autoregressive"),
    "llama": _net("llama:Llama", "the decoder of Llama and Qwen checkpoints, likewise"),
    "gpt2": _net("gpt2:Gpt2", "the decoder of GPT-2 checkpoints, likewise"),
    "transformer_xl_net": _net(
        "transformer_xl:TransformerXl", "segments with a memory and relative places, likewise"
    ),
    "relative": _net("relative:Relative", "learned embeddings of distances, likewise"),
    "encoder_decoder": _net(
        "encoder_decoder:EncoderDecoder", "encoder of prompts, decoder of answers, likewise"
    ),
    "bidirectional": _net("bidirectional:Bidirectional", "sees all tokens at once, for mdlm"),
    "recurrent_net": _net("recurrent:Recurrent", "recurrent cells over tokens, likewise"),
    "pixelcnn_net": _net("pixelcnn:PixelCnn", "two stacks of masked convolutions, likewise"),
    "pixelcnnpp_net": _net("pixelcnnpp:PixelCnnPp", "masked stacks over scales, for pixelcnnpp"),
    "pixelrnn_net": _net("pixelrnn:PixelRnn", "row or diagonal LSTMs over a grid, likewise"),
    "conv_coder": _net("conv:conv_coder", "convolutional encoder and decoder, for vae"),
    "ladder": _net("ladder:Ladder", "stages of latent grids, for hvae"),
    "grid_coder": _net("grid_coder:grid_coder", "to a coarser grid and back, for vqvae"),
    "mlp_coder": _net("dense:mlp_coder", "perceptrons as encoder and decoder, for vae"),
    "r3_players": _net("r3gan:r3_players", "residual generator and discriminator, for gan"),
    "dcgan_players": _net(
        "dcgan:dcgan_players", "the generator and discriminator of DCGAN, for gan"
    ),
    "sn_players": _net("resgan:sn_players", "the residual pair of SNGAN, for gan"),
    "biggan_players": _net("resgan:biggan_players", "the residual pair of BigGAN, for gan"),
    "translator_players": _net(
        "translator:translator_players", "from grid to grid, for pix2pix and cyclegan"
    ),
    "mlp_players": _net("dense:mlp_players", "perceptrons as generator and discriminator, for gan"),
    "coupling_net": _net("coupling:CouplingNet", "three layers, for glow and realnvp"),
    "image": _codec("Image", "images as real grids in [-1, 1]"),
    "pixels": _codec("Pixels", "images as tokens: quantised pixels or patches of them"),
    "points": _codec("Points", "real vectors"),
    "text": _codec("Text", "text as tokens: characters, bytes or pieces; music and molecules too"),
    "roll": _codec("Roll", "music as a piano roll: which keys sound in each frame"),
    "voices": _codec("Voices", "music as a grid: what each voice sings in each frame; harmony"),
    "latent": _codec("Latent", "images as the codes of a trained autoencoder"),
}


def names(kind: Kind) -> list[str]:
    """The short names of one kind, in the order of the table."""
    return [name for name, entry in CATALOG.items() if entry.kind == kind]


def name_of(target: Any) -> str:
    """The short name of a component that `find` gave.

    Raises:
        KeyError: The catalog does not know it.
    """
    path = f"{target.__module__}:{target.__qualname__}"
    return {entry.target: name for name, entry in CATALOG.items()}[path]


def find(name: str, kind: Kind | None = None, *, allow_code: bool = False) -> Any:
    """The class or function behind a short name.

    Args:
        name: A short name of the catalog, or "module:Name".
        kind: Only names of this kind, if given.
        allow_code: Accept "module:Name", of a module in the current folder too. Only a user may say
            so, of a recipe or an artifact, and in this very call; an artifact never.

    Raises:
        BadInput: The name is not in the catalog, or is code that was not allowed or not found.
    """
    known = CATALOG if kind is None else names(kind)
    if name in known:
        return _load(CATALOG[name].target)
    if ":" not in name:
        raise BadInput(f"no {kind or 'component'} is called {name!r}{nearest(name, known)}")
    if not allow_code:
        raise BadInput(
            f"{name!r} names code outside the catalog. If you trust it, say so: --allow-code of "
            "train, tune, sample, edit or evaluate, in Python gl.load(path, allow_code=True)."
        )
    look_in(".")
    return _load(name)


def foreign(table: Mapping[str, Any]) -> bool:
    """Whether a recipe, or a table of one, names code outside the catalog."""
    return any(
        foreign(value) if isinstance(value, Mapping) else key == "use" and ":" in str(value)
        for key, value in table.items()
    )


def look_in(folder: str | Path) -> None:
    """Let modules of a folder be found, after all others: for a user who allowed their code."""
    path = str(Path(folder).resolve())
    if path not in sys.path:
        sys.path.append(path)


def _load(target: str) -> Any:
    module, _, name = target.partition(":")
    if not all(part.isidentifier() for part in (*module.split("."), name)):
        raise BadInput(f"{target!r} is not 'module:Name', such as 'own:Bigram' of own.py.")
    try:
        return getattr(import_module(module), name)
    except MissingExtra:
        raise
    except (ImportError, AttributeError, SyntaxError) as error:
        hint = " It is looked for beside the recipe, here and on PYTHONPATH."
        hint = hint if _is_absent(module, error) else ""
        raise BadInput(f"{target!r} cannot be loaded: {error}.{hint}") from error


def _is_absent(module: str, error: Exception) -> bool:
    """Whether no file of the module was found; a mere folder of that name has nothing in it."""
    if isinstance(error, ModuleNotFoundError):
        return f"{module}.".startswith(f"{error.name}.")
    spec = getattr(sys.modules.get(module), "__spec__", None)
    return spec is not None and spec.origin is None
