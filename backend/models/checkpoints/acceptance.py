"""Which licences were accepted on this server, when, and for which model."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from backend.errors import LicenceNotAccepted, StartFailed
from backend.models.checkpoints.atomic_file import written_whole
from backend.models.checkpoints.catalogue import Model
from backend.models.checkpoints.licences import LicenceId, licence_of
from backend.units import Clock, iso

FILE_NAME = "accepted_licences.json"


@dataclass(frozen=True)
class Acceptance:
    """A licence that was accepted.

    Parameters
    ----------
    model : str
        The model it was accepted for; it holds for all models under the same licence.
    at : str
        RFC 3339, UTC.
    """

    licence: str
    model: str
    at: str


class Acceptances:
    """The record in the data folder.

    Parameters
    ----------
    folder : Path
        The folder of models in the data folder.
    """

    def __init__(self, folder: Path, clock: Clock) -> None:
        self._file = folder / FILE_NAME
        self._clock = clock

    def of(self, model: Model) -> Acceptance | None:
        """Return who accepted the licence of a model, None when nobody has."""
        return next((each for each in self._all() if each.licence == model.licence), None)

    def covers(self, model: Model) -> bool:
        """Return whether a model may be loaded."""
        return not licence_of(model.licence).needs_acceptance or self.of(model) is not None

    def accept(self, model: Model) -> Acceptance:
        """Record that the licence of a model is accepted; the first record stays."""
        known = self.of(model)
        if known is not None:
            return known
        accepted = Acceptance(model.licence, model.id, iso(self._clock.now()) or "")
        self._file.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        with written_whole(self._file) as temporary:
            everything = [asdict(each) for each in (*self._all(), accepted)]
            temporary.write_text(json.dumps({"accepted": everything}, indent=1) + "\n")
        return accepted

    def require(self, model: Model) -> None:
        """Refuse a model whose licence nobody has accepted.

        Raises
        ------
        LicenceNotAccepted
        """
        if not self.covers(model):
            raise LicenceNotAccepted(
                f"The licence of {model.title} has not been accepted on this server: "
                f"{licence_of(model.licence).title}.",
                advice=f"Read it and accept it: python -m backend models accept {model.id}",
            )

    def _all(self) -> list[Acceptance]:
        try:
            text = self._file.read_text()
        except FileNotFoundError:
            return []
        try:
            return [_acceptance(row) for row in json.loads(text)["accepted"]]
        except (ValueError, KeyError, TypeError) as error:
            raise StartFailed(
                f"{self._file} cannot be read: {error}",
                advice="Delete the file and accept the licences again.",
            ) from error


def _acceptance(row: dict[str, Any]) -> Acceptance:
    return Acceptance(LicenceId(row["licence"]), str(row["model"]), str(row["at"]))
