"""Pipelines: one file per product, each read from top to bottom."""
