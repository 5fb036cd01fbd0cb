"""An invisible keyed watermark for images: 8x8 DCT spread spectrum with 32 bits of payload.

Cox et al., Secure spread spectrum watermarking for multimedia, 1997; the embedder knows the image
and adds no more than is missing: Malvar and Florencio, Improved spread spectrum, 2003. Deviations:
the pattern is a tile of 64 x 64 pixels that repeats, so that a crop is found by search, and
coefficients are clipped before they are summed, so that texture does not drown the mark.

Under any wrong key each bit's sum is a sum of independent random signs over its norm. Its square
is dominated by that of a normal variable, so that the statistic over 32 bits obeys the Chernoff
bound of chi-squared with 32 degrees of freedom for *every* image: the p-value is an upper bound.

It does not survive scaling to another size, rotation, mirroring or an attacker who has the key.
"""

from __future__ import annotations

import math
from functools import lru_cache

import numpy as np

from genloom.errors import BadInput
from genloom.safety.marks.keyed import Score, derive, words

SMALLEST = 64  # pixels a side: one whole tile
BITS = 32
FPR = 1e-6
_FEW = (3.5, 8.0)  # up to 3 tiles: mean clipped coefficient towards its bit, largest change of one
_MANY = (3.0, 6.0)  # from 4 tiles on repeats help, so that less is enough
_CLIP = 8.0
_PASSES = 5  # rounding to whole levels undoes a part; what is missing is added again
_MORE = 8  # passes for the bits that the image's own texture still outweighs
_SURE = 0.35  # mean clipped coefficient towards its bit that a reader does not mistake
_RAISE = 2.0  # by which such a bit may change a coefficient further in a pass
_SEARCHED = 512  # pixels a side of the middle part that a search for the alignment looks at
_LUMA = np.array([0.299, 0.587, 0.114])  # ITU-R 601
_ORDER = sorted(((u, v) for u in range(8) for v in range(8)), key=lambda p: (p[0] + p[1], p[0]))
_U, _V = (np.array(axis) for axis in zip(*_ORDER[3:28], strict=True))  # diagonals 2 to 6
_CHIPS = 64 * len(_U)
_K = np.arange(8)
_DCT = np.where(_K[:, None] == 0, math.sqrt(1 / 8), 0.5) * np.cos(
    np.pi * (2 * _K[None] + 1) * _K[:, None] / 16
)  # orthonormal DCT-II: coefficients = D @ block @ D.T
_BASIS = np.einsum("ka,kb->kab", _DCT[_U], _DCT[_V]).reshape(len(_U), 64)  # (25, 64)


def why_not(height: int, width: int) -> str | None:
    """Why an image of this size cannot be marked, or None if it can."""
    if min(height, width) < SMALLEST:
        return (
            f"an image of {width}x{height} has no room for a watermark that survives: "
            f"{SMALLEST} pixels a side are needed. Rely on its labels and its signature."
        )
    return None


def embed(pixels: np.ndarray, secret: bytes, payload: int) -> np.ndarray:
    """The image with 32 bits hidden in its luma.

    Args:
        pixels: uint8, (H, W) or (H, W, 3), at least `SMALLEST` a side.
        secret: Of the installation; who has it can read, forge and remove the mark.
        payload: In [0, 2**32).

    Returns:
        uint8 of the same shape.

    Raises:
        BadInput: The image is too small or of another form, or the payload does not fit.
    """
    _check(pixels)
    if not 0 <= payload < 2**BITS:
        raise BadInput(f"payload = {payload}: it must be at least 0 and below 2**{BITS}.")
    signs, bit = _pattern(secret)
    wanted = np.where(payload >> np.arange(BITS) & 1, 1.0, -1.0)[bit] * signs  # (8, 8, K)
    target, cap = _MANY if pixels.shape[0] * pixels.shape[1] >= 4 * SMALLEST**2 else _FEW
    out, spent, caps = pixels.astype(np.float64), np.zeros(BITS), np.full(BITS, cap)
    for turn in range(_PASSES + _MORE):
        coefficients = _coefficients(_luma(out))
        total, count = _fold(coefficients)
        mean = _per_bit(wanted * total, bit) / _per_bit(np.broadcast_to(count, bit.shape), bit)
        if turn >= _PASSES:
            weak = mean < _SURE
            if not weak.any():
                break
            caps = np.where(weak, caps + _RAISE, spent)
        step = np.clip(target - mean, 0, caps - spent)
        spent += step
        change = (step[bit] * wanted)[_tiles(coefficients)]  # (rows, columns, K)
        grey = _pixels(change @ _BASIS)
        part = out[: grey.shape[0], : grey.shape[1]]
        part += grey if out.ndim == 2 else grey[..., None]
        out = np.clip(np.rint(out), 0, 255)
    return out.astype(np.uint8)


def detect(pixels: np.ndarray, secret: bytes, *, search: bool = True, fpr: float = FPR) -> Score:
    """Test for the mark of this secret and read its bits.

    Args:
        pixels: uint8, (H, W) or (H, W, 3).
        secret: That of `embed`.
        search: Whether to try all 4096 alignments of a cropped image where the plain one fails.
        fpr: The false-positive rate over all that is tried, per image.

    Raises:
        BadInput: The image is too small or of another form.
    """
    _check(pixels)
    signs, bit = _pattern(secret)
    luma = _luma(pixels.astype(np.float64))
    statistics = _projections(_fold(_coefficients(luma))[0], signs, bit)
    best = _score(statistics, 2, fpr)
    if search and not best.found:
        statistics = _searched(luma, signs, bit)
        tried = _score(statistics, 2 * 64 * 64, fpr)
        best = tried if tried.p_value < best.p_value else best
    return best


def bound(statistic: float, tries: int = 1) -> float:
    """An upper bound of how often the largest of `tries` wrong statistics reaches this one.

    P(T >= x) <= (x / k)^(k/2) exp((k - x) / 2) for x > k = 32, times the number of tries.
    """
    ratio = statistic / BITS
    if ratio <= 1:
        return 1.0
    return min(1.0, tries * math.exp(BITS / 2 * (math.log(ratio) + 1 - ratio)))


def _check(pixels: np.ndarray) -> None:
    if pixels.dtype != np.uint8 or pixels.shape[2:] not in ((), (3,)) or pixels.ndim < 2:
        raise BadInput(
            f"pixels are {pixels.dtype} {pixels.shape}: uint8 (H, W) or (H, W, 3) is needed."
        )
    reason = why_not(*pixels.shape[:2])
    if reason:
        raise BadInput(reason)


@lru_cache(maxsize=8)
def _pattern(secret: bytes) -> tuple[np.ndarray, np.ndarray]:
    """The sign and the bit of each chip of the tile, both (8, 8, K); each bit has 50 chips."""
    drawn = words(derive(secret, "image watermark"), b"tile 1", 2 * _CHIPS)
    signs = np.where(drawn[:_CHIPS] & np.uint64(1), 1.0, -1.0)
    bit = np.empty(_CHIPS, dtype=np.int64)
    bit[np.argsort(drawn[_CHIPS:], kind="stable")] = np.arange(_CHIPS) % BITS
    return signs.reshape(8, 8, -1), bit.reshape(8, 8, -1)


def _luma(pixels: np.ndarray) -> np.ndarray:
    return pixels if pixels.ndim == 2 else pixels @ _LUMA


def _coefficients(luma: np.ndarray) -> np.ndarray:
    """The chosen DCT coefficients of each whole block: (rows, columns, K)."""
    rows, columns = luma.shape[0] // 8, luma.shape[1] // 8
    blocks = luma[: rows * 8, : columns * 8].reshape(rows, 8, columns, 8).transpose(0, 2, 1, 3)
    return blocks.reshape(rows, columns, 64) @ _BASIS.T


def _pixels(blocks: np.ndarray) -> np.ndarray:
    """(rows, columns, 64) -> (8 rows, 8 columns)."""
    rows, columns = blocks.shape[:2]
    return blocks.reshape(rows, columns, 8, 8).transpose(0, 2, 1, 3).reshape(8 * rows, 8 * columns)


def _tiles(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of each block its place within the tile."""
    rows, columns = coefficients.shape[:2]
    return np.ix_(np.arange(rows) % 8, np.arange(columns) % 8)  # pyright: ignore[reportReturnType]


def _fold(coefficients: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Clipped coefficients summed over the repeats of the tile, (8, 8, K), and their count."""
    total = np.zeros((8, 8, coefficients.shape[2]))
    count = np.zeros((8, 8, 1))
    place = _tiles(coefficients)
    np.add.at(total, place, np.clip(coefficients, -_CLIP, _CLIP))
    np.add.at(count, place, 1.0)
    return total, count


def _per_bit(values: np.ndarray, bit: np.ndarray) -> np.ndarray:
    return np.bincount(bit.ravel(), values.ravel(), BITS)


def _projections(folded: np.ndarray, signs: np.ndarray, bit: np.ndarray) -> np.ndarray:
    """Each bit's sum of signed values over their norm, (32,): unit variance under a wrong key."""
    norm = np.sqrt(_per_bit(folded**2, bit))
    return _per_bit(signs * folded, bit) / np.where(norm > 0, norm, np.inf)


def _searched(luma: np.ndarray, signs: np.ndarray, bit: np.ndarray) -> np.ndarray:
    """The projections of the best of all 64 x 64 alignments of grid and tile, (32,)."""
    top, left = (max(0, (n - _SEARCHED) // 2) for n in luma.shape)
    luma = luma[top : top + _SEARCHED, left : left + _SEARCHED]
    folded = np.stack([_fold(_coefficients(luma[y:, x:]))[0] for y in range(8) for x in range(8)])
    flat = folded.reshape(64, _CHIPS).T  # (chips, phases)
    best, found = -1.0, np.zeros(BITS)
    for down in range(8):
        for right in range(8):
            s, b = (np.roll(a, (down, right), (0, 1)).ravel() for a in (signs, bit))
            order = np.argsort(b, kind="stable")  # each bit has equally many chips
            grouped = flat[order].reshape(BITS, -1, 64)
            norm = np.sqrt((grouped**2).sum(1))
            sums = (grouped * s[order].reshape(BITS, -1, 1)).sum(1)
            z = sums / np.where(norm > 0, norm, np.inf)  # (32, phases)
            statistics = (z**2).sum(0)
            phase = int(statistics.argmax())
            if statistics[phase] > best:
                best, found = float(statistics[phase]), z[:, phase]
    return found


def _score(projections: np.ndarray, tries: int, fpr: float) -> Score:
    statistic = float((projections**2).sum())
    p_value = bound(statistic, tries)
    payload = sum(1 << i for i, z in enumerate(projections) if z > 0)
    return Score(statistic, p_value, p_value <= fpr, _CHIPS, payload)
