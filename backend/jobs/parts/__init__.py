"""The parts of a job's mesh: how it is divided, edits by hand, and the versions that were kept."""
