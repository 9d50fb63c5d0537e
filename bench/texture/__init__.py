"""How long texturing takes, how good it is, and what painting would cost on a GPU."""
