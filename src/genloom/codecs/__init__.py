"""Between stored items and data in a space, and from items to files."""

from __future__ import annotations

from genloom.codecs.grid import grid
from genloom.codecs.image import Image
from genloom.codecs.latent import Latent
from genloom.codecs.pixels import Pixels
from genloom.codecs.points import Points
from genloom.codecs.roll import Roll
from genloom.codecs.text import Text
from genloom.codecs.voices import Voices

__all__ = ["Image", "Latent", "Pixels", "Points", "Roll", "Text", "Voices", "grid"]
