"""Meshkiln: a picture becomes a closed, textured 3D mesh on your own machine."""

__version__ = "0.1.0"
