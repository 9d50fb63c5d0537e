"""Profiling: what every stage costs."""
