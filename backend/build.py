"""Which build of the program runs: its version and, in a git checkout, the commit."""

from __future__ import annotations

from pathlib import Path

from backend import __version__

CHECKOUT = Path(__file__).resolve().parent.parent
SHOWN_DIGITS = 8


def build_name(checkout: Path = CHECKOUT) -> str:
    """Name the build; changes that were not committed do not show in it.

    Returns
    -------
    str
        For example ``0.1.0-g1a2b3c4d``; the version alone outside of a checkout.
    """
    commit = _commit(checkout)
    return f"{__version__}-g{commit[:SHOWN_DIGITS]}" if commit else __version__


def _commit(checkout: Path) -> str | None:
    """Read the checked-out commit without running git, which may not be installed."""
    try:
        folder = _git_folder(checkout / ".git")
        head = (folder / "HEAD").read_text().strip()
        if not head.startswith("ref: "):
            return head
        name = head.removeprefix("ref: ")
        shared = folder / "commondir"
        common = folder / shared.read_text().strip() if shared.exists() else folder
        loose = common / name
        return loose.read_text().strip() if loose.exists() else _packed(common, name)
    except OSError:
        return None


def _git_folder(entry: Path) -> Path:
    """Follow the file that stands for the folder in a linked worktree."""
    if entry.is_dir():
        return entry
    return entry.parent / entry.read_text().strip().removeprefix("gitdir: ")


def _packed(folder: Path, name: str) -> str | None:
    lines = (folder / "packed-refs").read_text().splitlines()
    found = (line.partition(" ") for line in lines)
    return next((commit for commit, _, ref in found if ref == name), None)
