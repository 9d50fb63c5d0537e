"""Recordings: read within limits, judged, drawn as a waveform, and written."""
