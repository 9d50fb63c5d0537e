"""Engines: one file per way of doing a stage."""
