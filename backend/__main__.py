"""``python -m backend``: the command line."""

import atexit
import gc

from backend.cli.main import main

# What ends needs no collecting: to look through all modules once more takes 0.3 s.
atexit.register(gc.freeze)

if __name__ == "__main__":
    raise SystemExit(main())
