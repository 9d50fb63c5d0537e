"""The secret that messages are signed with, in a file that only this user can read."""

from __future__ import annotations

import base64
import os
import secrets
from pathlib import Path

from backend.errors import StartFailed
from backend.jobs.webhooks.signatures import SECRET_PREFIX

FILE_NAME = "webhook_secret"
KEY_BYTES = 32


class SecretFile:
    """One secret a line, newest first: the one in force, and until it is dropped the one before.

    Parameters
    ----------
    folder : Path
        The data folder.
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / FILE_NAME

    def secrets(self) -> list[str]:
        """Return the secrets, newest first; the first call on a data folder makes one.

        Raises
        ------
        StartFailed
            The file holds no secret.
        """
        if not self._path.exists():
            self._create([_new_secret()])
        found = self._path.read_text().split()
        if not found or not all(line.startswith(SECRET_PREFIX) for line in found):
            raise StartFailed(
                f"{self._path} holds no webhook secret.",
                advice="Remove the file; the next start makes another secret.",
            )
        return found

    def rotate(self) -> str:
        """Put a new secret in force; messages are signed with the old one too until it is dropped.

        A secret that was kept from an earlier rotation is dropped.
        """
        kept = self.secrets()[0]
        made = _new_secret()
        self._replace([made, kept])
        return made

    def drop_old(self) -> None:
        """Sign with the newest secret only."""
        self._replace(self.secrets()[:1])

    def _create(self, lines: list[str]) -> None:
        """Write the file unless another process was faster."""
        draft = self._draft(lines)
        try:
            os.link(draft, self._path)
        except FileExistsError:
            pass
        finally:
            draft.unlink()

    def _replace(self, lines: list[str]) -> None:
        self._draft(lines).replace(self._path)

    def _draft(self, lines: list[str]) -> Path:
        draft = self._path.with_name(f".{FILE_NAME}.{os.getpid()}.{secrets.token_hex(4)}")
        with os.fdopen(os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
            file.write("\n".join(lines) + "\n")
            file.flush()
            os.fsync(file.fileno())
        return draft


def _new_secret() -> str:
    return SECRET_PREFIX + base64.b64encode(secrets.token_bytes(KEY_BYTES)).decode()
