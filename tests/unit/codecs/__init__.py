"""Tests of genloom.codecs."""
