"""A program that runs with an old version of a package only; it runs in a guest's process only."""

import os
import time
from pathlib import Path

from packaging import LegacyVersion, __version__  # gone from the version that the server has


class OldProgram:
    def versions(self):
        return {"packaging": __version__, "legacy": LegacyVersion("1.0-old").text}

    def hold(self, marker):
        Path(marker).write_text(str(os.getpid()))
        time.sleep(120)
