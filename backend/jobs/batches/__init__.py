"""Batches: many jobs sent together, looked at, paused, canceled and fetched as one."""
