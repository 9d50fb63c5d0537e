"""How much memory of the device the work of a network may take beside its weights.

The one place where this is decided: stages divide what they are given here into passes, slices
and what they keep between steps.
"""

from __future__ import annotations

from dataclasses import dataclass

WORKING_SHARE = 0.5
"""Of what is free as it is, for work that would gain little by more: some is left to others."""


@dataclass(frozen=True)
class DeviceUse:
    """Who holds what of the device, in bytes.

    Parameters
    ----------
    total, free : int
        Of the whole device; free as its driver says.
    reserved : int
        Held by the allocator of this process, in use or not.
    held : int
        By other networks of this process, and used by or promised to other work of it.
    fraction : float
        Most of the device that this process may hold, as a share.
    reserve : int
        Kept free for what nobody counts.
    """

    total: int
    free: int
    reserved: int
    held: int
    fraction: float
    reserve: int

    @property
    def ceiling(self) -> int:
        """Most that this process may hold."""
        return ceiling_bytes(
            self.total, self.free, self.reserved, fraction=self.fraction, reserve=self.reserve
        )


@dataclass(frozen=True)
class WorkRoom:
    """What the work of one network may take beside its weights, in bytes; at least 0.

    Parameters
    ----------
    most : int
        Once every other network of this process has left the device.
    as_it_is : int
        Without any other leaving.
    """

    most: int
    as_it_is: int

    def modest(self, limit_bytes: int) -> int:
        """Return what work takes that would gain little by more.

        Parameters
        ----------
        limit_bytes : int
            That it never goes beyond.

        Examples
        --------
        >>> WorkRoom(most=8_000, as_it_is=6_000).modest(5_000)
        3000
        """
        return max(0, min(int(WORKING_SHARE * self.as_it_is), limit_bytes))


def room_for_work(use: DeviceUse, weights_bytes: int) -> WorkRoom:
    """Divide the device between weights, work and others.

    Parameters
    ----------
    use : DeviceUse
        Without the network itself, whether or not it lies on the device already.
    weights_bytes : int
        Of the network.

    Examples
    --------
    >>> use = DeviceUse(24_000, 20_000, 4_000, held=3_000, fraction=0.9, reserve=500)
    >>> room_for_work(use, 1_000)
    WorkRoom(most=20600, as_it_is=17600)
    """
    most = max(0, use.ceiling - weights_bytes)
    return WorkRoom(most, max(0, most - use.held))


def ceiling_bytes(total: int, free: int, reserved: int, *, fraction: float, reserve: int) -> int:
    """Return the most that this process may hold of a device, in bytes.

    What is neither free nor ours counts as held by other processes: the figure of the driver may
    lag behind, and a neighbour may have grown since the last look.

    Parameters
    ----------
    reserved : int
        Held by the allocator of this process.
    fraction : float
        Most of the device that this process may hold, as a share.
    reserve : int
        Kept free beside what others hold.

    Examples
    --------
    >>> ceiling_bytes(1000, 300, 200, fraction=0.9, reserve=50)
    450
    >>> ceiling_bytes(1000, 1000, 0, fraction=0.9, reserve=50)
    900
    """
    others = max(0, total - free - reserved)
    return max(0, min(total - others - reserve, int(fraction * total)))
