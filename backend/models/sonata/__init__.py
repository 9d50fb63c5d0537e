"""Sonata: features of the points of a cloud."""
