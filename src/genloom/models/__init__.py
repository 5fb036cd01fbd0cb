"""Generative models, one family per file."""
