"""Benchmarks: one file per claim, each run with ``python -m bench.NAME [--json FILE]``."""
