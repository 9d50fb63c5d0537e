"""Splits surfaces into parts."""
