"""Small files of each kind, pictures with the spectrum of photographs, and an installation."""

from __future__ import annotations

import io
import random
import struct

import numpy as np
import pytest
from PIL import Image

from genloom.safety.marks.identity import ROOT, Identity
from genloom.safety.marks.record import Record

SECRET = b"a secret of an installation, 32+"


def picture(size: int, seed: int = 0, channels: int = 3) -> np.ndarray:
    """Noise of amplitude 1/f, as photographs have, uint8 (size, size, channels) or (size, size)."""
    rng = np.random.default_rng(seed)
    f = np.hypot(*np.meshgrid(np.fft.fftfreq(size), np.fft.fftfreq(size)))
    f[0, 0] = 1 / size
    planes = []
    for _ in range(channels):
        grey = np.fft.ifft2(np.fft.fft2(rng.normal(size=(size, size))) / f).real
        planes.append(128 + 45 * (grey - grey.mean()) / grey.std())
    pixels = np.clip(np.stack(planes, -1), 0, 255).astype(np.uint8)
    return pixels[..., 0] if channels == 1 else pixels


def encoded(pixels: np.ndarray, form: str, **options) -> bytes:
    out = io.BytesIO()
    Image.fromarray(pixels).save(out, form, **options)
    return out.getvalue()


def box(kind: bytes, content: bytes) -> bytes:
    return struct.pack(">I", 8 + len(content)) + kind + content


def wav(samples: int = 1001) -> bytes:
    """8 bits, 8 kHz; an odd number of samples needs a byte of padding."""
    pad = samples % 2
    head = b"WAVEfmt " + struct.pack("<IHHIIHH", 16, 1, 1, 8000, 8000, 1, 8)
    data = b"data" + struct.pack("<I", samples) + b"\x80" * samples + b"\0" * pad
    return b"RIFF" + struct.pack("<I", len(head + data)) + head + data


def mp4() -> bytes:
    moov = box(b"moov", box(b"mvhd", bytes(100)))
    return box(b"ftyp", b"isom\0\0\2\0isommp42") + moov + box(b"mdat", b"x" * 500)


def mutated(data: bytes, rng: random.Random) -> bytes:
    """Flipped, cut, doubled or overwritten in one to six places."""
    out = bytearray(data)
    for _ in range(rng.randint(1, 6)):
        at = rng.randrange(max(len(out), 1))
        kind = rng.randrange(5)
        if kind == 0 and out:
            out[at] = rng.randrange(256)
        elif kind == 1:
            del out[at : at + rng.choice([1, 4, 100, 10**6])]
        elif kind == 2:
            out[at:at] = out[at : at + rng.choice([1, 8, 200])]
        elif kind == 3:
            out[at : at + 4] = rng.choice([b"\xff" * 4, b"\0" * 4, b"\x7f\xff\xff\xff"])
        else:
            head = rng.randrange(max(min(len(out), 4000), 1))  # where the structure is
            out[head : head + 1] = bytes([rng.randrange(256)])
    return bytes(out)


FILES = {
    "image/png": encoded(picture(96), "PNG"),
    "image/jpeg": encoded(picture(96), "JPEG", quality=90),
    "image/webp": encoded(picture(96), "WEBP", quality=90),
    "audio/wav": wav(),
    "video/mp4": mp4(),
    "text/markdown": b"# Title\n\nSome text.\n",
    "text/plain": "caf\u00e9\n".encode(),
    "application/json": b'[{"x": 1}]',
}


@pytest.fixture
def record() -> Record:
    return Record("ab" * 32, "7", recipe="cd" * 32, made="2026-01-01T00:00:00+00:00")


@pytest.fixture(scope="session")
def installation(tmp_path_factory) -> tuple[Identity, bytes]:
    """An identity and its root certificate."""
    folder = tmp_path_factory.mktemp("marks") / "identity"
    identity = Identity.open(folder, name="Test Loom")
    return identity, (folder / ROOT).read_bytes()
