"""Backbones: nets of a grid, a time and conditions, generic over spatial axes."""
