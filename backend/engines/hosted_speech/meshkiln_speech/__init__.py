"""Runs inside a speech program's own interpreter: constructs it, calls it, hears it out.

Standard library at import, torch and numpy as the program brings them, Python 3.9 or newer; it
knows nothing of the server but ``meshkiln_guest``, which is there where the server hosts it.
"""
