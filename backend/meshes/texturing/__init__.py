"""Texture atlases: charts, rasters, views and what is painted between them."""
