"""Calls to addresses that users name: judged first, then made to exactly what was judged."""
