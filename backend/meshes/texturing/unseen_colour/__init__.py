"""Colouring a whole surface from a few pictures, without weights: seen, mirrored, guessed."""
