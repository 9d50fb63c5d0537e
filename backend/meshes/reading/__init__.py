"""Meshes that strangers send: read within limits, judged, and written anew."""
