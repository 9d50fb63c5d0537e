"""How much does our way of making shapes save? See ``__main__``."""
