"""The licences that models come under, told in our own words before first use."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class LicenceId(StrEnum):
    """A licence of a model's files."""

    TENCENT_HUNYUAN_2 = "tencent-hunyuan3d-2.0"
    TENCENT_HUNYUAN_21 = "tencent-hunyuan3d-2.1"
    TENCENT_HUNYUAN_PART = "tencent-hunyuan3d-part"
    TENCENT_HUNYUAN_2_PAINT = "tencent-hunyuan3d-2.0-paint"
    TENCENT_HUNYUAN_21_PAINT = "tencent-hunyuan3d-2.1-paint"
    MIT = "mit"
    APACHE_2 = "apache-2.0"
    BSD_3 = "bsd-3-clause"


@dataclass(frozen=True)
class Licence:
    """What to know about a licence before first use.

    Parameters
    ----------
    points : tuple of str
        The conditions that matter most, in our words; the text of the licence is what counts.
    needs_acceptance : bool
        Whether somebody has to accept it before the model is loaded.
    """

    id: LicenceId
    title: str
    points: tuple[str, ...]
    needs_acceptance: bool

    @property
    def notice(self) -> str:
        """The title and the points as lines of text."""
        return "\n".join([self.title, *(f"  - {point}" for point in self.points)])


_TENCENT_POINTS = (
    "It does not apply in the European Union, the United Kingdom and South Korea: there you have "
    "no licence for the model, nor for what was made with it.",
    "With more than 1 million users a month you need a grant from Tencent first.",
    "Neither the model nor what it makes may be used to improve other AI models.",
    "Who passes the files on must add the licence and its notice, and mark changed files.",
    "This is a summary. The LICENSE file of the model's repository is what counts.",
)
_PART_POINTS = (
    *_TENCENT_POINTS[:3],
    "Who passes the files on, or offers their use to others as a service, must add the licence "
    "and its notice, and mark changed files.",
    "P3-SAM and X-Part contain fine-tuned copies of Sonata, whose own weights are under CC-BY-NC "
    "4.0. They are shipped under Tencent's terms; whether the condition that forbids commercial "
    "use carries over is an open legal question.",
    _TENCENT_POINTS[-1],
)
_PAINT_POINTS = (
    *_TENCENT_POINTS[:-1],
    "Its networks are made from Stable Diffusion 2.1, which is under the CreativeML Open RAIL++-M "
    "licence: the uses that this one forbids are forbidden here too.",
    "This is a summary. The LICENSE file of the model's repository, and the card of Stable "
    "Diffusion 2.1, are what counts.",
)
_LICENCES = {
    licence.id: licence
    for licence in (
        Licence(
            LicenceId.TENCENT_HUNYUAN_2,
            "Tencent Hunyuan 3D 2.0 Community License, of 21 January 2025",
            _TENCENT_POINTS,
            needs_acceptance=True,
        ),
        Licence(
            LicenceId.TENCENT_HUNYUAN_21,
            "Tencent Hunyuan 3D 2.1 Community License, of 13 June 2025",
            _TENCENT_POINTS,
            needs_acceptance=True,
        ),
        Licence(
            LicenceId.TENCENT_HUNYUAN_PART,
            "Tencent Hunyuan 3D-Part Community License",
            _PART_POINTS,
            needs_acceptance=True,
        ),
        Licence(
            LicenceId.TENCENT_HUNYUAN_2_PAINT,
            "Tencent Hunyuan 3D 2.0 Community License, and CreativeML Open RAIL++-M",
            _PAINT_POINTS,
            needs_acceptance=True,
        ),
        Licence(
            LicenceId.TENCENT_HUNYUAN_21_PAINT,
            "Tencent Hunyuan 3D 2.1 Community License, and CreativeML Open RAIL++-M",
            _PAINT_POINTS,
            needs_acceptance=True,
        ),
        Licence(
            LicenceId.APACHE_2,
            "Apache License 2.0, as its authors state",
            (
                "Any use is allowed, in every country.",
                "Who passes the files on must add the licence and its notices, and mark changed "
                "files.",
            ),
            needs_acceptance=False,
        ),
        Licence(
            LicenceId.BSD_3,
            "BSD 3-Clause licence, as its authors state",
            (
                "Any use is allowed, in every country.",
                "Who passes the files on must keep the copyright notice and the licence. The "
                "authors' names may not be used to advertise.",
            ),
            needs_acceptance=False,
        ),
        Licence(
            LicenceId.MIT,
            "MIT licence",
            (
                "Any use is allowed, in every country.",
                "Who passes the files on must keep the copyright notice and the licence.",
            ),
            needs_acceptance=False,
        ),
    )
}


def licence_of(licence: LicenceId) -> Licence:
    """Return a licence by its id."""
    return _LICENCES[licence]
