"""Names of folders made from names of items: fit for every file system, and unique."""

from __future__ import annotations

import re
import unicodedata

MAX_BYTES = 150
_UNFIT = re.compile(r'[<>:"/\\|?*]+')
_RESERVED = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\..*)?", re.I)


class FolderNames:
    """Gives each item a folder of its own; the same items in the same order get the same ones."""

    def __init__(self) -> None:
        self._taken: set[str] = set()

    def take(self, custom_id: str) -> str:
        """Return a name that no item before has, whatever the case of its letters."""
        base = found = safe_name(custom_id)
        number = 1
        while found.casefold() in self._taken:
            number += 1
            found = f"{base}~{number}"
        self._taken.add(found.casefold())
        return found


def safe_name(text: str) -> str:
    """Make a name that is one folder on every system, and none with a meaning.

    >>> safe_name("../a/b:c.png"), safe_name("con.png"), safe_name("..."), safe_name("~x ")
    ('_a_b_c.png', '_con.png', 'item', '_x')
    """
    normal = unicodedata.normalize("NFC", text)
    shown = "".join(char for char in normal if unicodedata.category(char)[0] != "C")
    name = _UNFIT.sub("_", shown).strip(" .")
    name = name.encode()[:MAX_BYTES].decode(errors="ignore").rstrip(" .")
    if name.startswith(("~", "-")):
        name = f"_{name[1:]}"
    return (f"_{name}" if _RESERVED.fullmatch(name) else name) or "item"
