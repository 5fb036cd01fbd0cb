"""Molecules as strings: read, named, and drawn by RDKit."""
