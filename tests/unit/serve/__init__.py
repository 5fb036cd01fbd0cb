"""Tests of genloom.serve."""
