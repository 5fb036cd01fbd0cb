"""Tests of genloom.serve.store."""
