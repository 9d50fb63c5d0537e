"""A program of its own folder, hosted by ``bench.managed_engine``."""
