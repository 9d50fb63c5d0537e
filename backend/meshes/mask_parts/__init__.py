"""From masks over points of a surface to parts of its faces."""
