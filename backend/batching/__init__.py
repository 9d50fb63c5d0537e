"""Batches at the engine seam: jobs meet, one call does the work of all of them."""
