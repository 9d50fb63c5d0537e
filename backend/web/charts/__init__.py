"""Geometry of the charts: figures in, percentages and pixels out; templates write the SVG."""
