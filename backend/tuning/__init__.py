"""Finds the settings under which this machine is fastest, by measurement."""
