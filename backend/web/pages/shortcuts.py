"""The keyboard shortcuts, as the help dialog lists them."""

SHORTCUTS = (
    ("u", "choose pictures"),
    ("g", "generate"),
    ("/", "search the gallery"),
    ("j k", "next, previous model in a list"),
    ("w", "appearance or geometry"),
    ("f", "frame the model"),
    ("?", "this list"),
    ("Esc", "close a dialog"),
)
