"""Tests of genloom.data."""
