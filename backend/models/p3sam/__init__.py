"""P3-SAM: finds the parts of a surface."""
