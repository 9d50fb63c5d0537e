"""Grants on one device in a Redis that several servers share."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import psutil
import redis

from backend.errors import StartFailed
from backend.gpu.telemetry import VISIBLE, telemetry_source, visible_devices
from backend.jobs.broker import redis_url
from backend.jobs.gpu_share_script import SCRIPT
from backend.jobs.owners import Owner, host_name
from backend.jobs.quick_redis import QuickRedis
from backend.residency.device import BackendName, DeviceBackend
from backend.residency.share_view import (
    Holder,
    Holding,
    ShareOffline,
    ShareView,
    Wish,
)
from backend.settings import Settings

PREFIX = "mk:share:"
LASTS_S = 5.0
SILENCE_S = 2.0
SCHEMES = ("redis://", "rediss://", "unix://")

log = logging.getLogger(__name__)


@dataclass(frozen=True)
class HolderName:
    """Who holds.

    Parameters
    ----------
    owner : Owner
        The process.
    name : str
        Of its server, as people know it.
    """

    owner: Owner
    name: str


class GpuShare:
    """Grants on one device.

    Parameters
    ----------
    client : redis.Redis
        Reaches the Redis that all servers share.
    key : str
        Names the device, the same for everybody who uses it.
    keeps_silent : bool
        The device has no figures of its own: what a silent holder held counts until it is dead.
    now_ms : callable, optional
        The time in milliseconds; Redis's own unless given.
    has_ended : callable
        Whether a process of this machine has ended.
    """

    def __init__(
        self,
        client: redis.Redis,
        key: str,
        holder: HolderName,
        *,
        keeps_silent: bool = False,
        lasts_s: float = LASTS_S,
        now_ms: Callable[[], int] | None = None,
        has_ended: Callable[[Owner], bool] | None = None,
    ) -> None:
        self.id = str(holder.owner)
        self.name = holder.name
        self.lasts_s = lasts_s
        self._client = client
        self._key = PREFIX + key
        self._script = client.register_script(SCRIPT)
        self._fence = 0
        self._now_ms = now_ms
        self._has_ended = has_ended or has_ended_here
        self._about_us: dict[str, Any] = {
            "name": holder.name,
            "host": holder.owner.host,
            "pid": holder.owner.pid,
            "keep": keeps_silent,
            "lasts_ms": round(1000 * lasts_s),
        }

    def tell(self, grant_bytes: int, holding: Holding, *, confirm: bool = False) -> ShareView:
        """Renew the grant; see ``DeviceShare``."""
        return self._run("tell", grant=grant_bytes, confirm=confirm, **_said(holding))

    def ask(
        self,
        target_bytes: int,
        grant_bytes: int,
        holding: Holding,
        *,
        others_bytes: int,
        limit_bytes: int,
        holds: bool,
        wish: bool,
    ) -> ShareView:
        """Enlarge the grant if it fits; see ``DeviceShare``."""
        return self._run(
            "ask",
            target=target_bytes,
            grant=grant_bytes,
            others=others_bytes,
            limit=limit_bytes,
            holds=holds,
            wish=wish,
            **_said(holding),
        )

    def withdraw(self) -> None:
        """Leave the queue."""
        self._run("withdraw")

    def close(self) -> None:
        """Give the grant back."""
        try:
            self._run("leave")
        except ShareOffline as error:
            log.debug("the grant on the GPU runs out by itself (%s)", error)

    def _run(self, operation: str, **said: Any) -> ShareView:
        try:
            granted, live, now_ms, rows = self._ask_redis(operation, said)
            view, dead = self._read(bool(granted), bool(live), now_ms, rows)
        except (ValueError, LookupError, TypeError, AttributeError) as error:
            what = f"{self._key} holds what is no grant: {type(error).__name__}: {error}"
            raise ShareOffline(what) from error  # written by another version, or by others
        if dead:  # they are not neighbours any more; the next call sees the room
            self._ask_redis("bury", {"dead": dead})
        return view

    def _ask_redis(self, operation: str, said: dict[str, Any]) -> list[Any]:
        words = {"grant": 0, "fence": self._fence} | self._about_us | said
        if self._now_ms is not None:
            words["now_ms"] = self._now_ms()
        try:
            answer = self._script([self._key], [operation, self.id, json.dumps(words)])
        except redis.RedisError as error:
            raise ShareOffline(str(error)) from error
        return cast("list[Any]", answer)

    def _read(
        self, granted: bool, live: bool, now_ms: int, rows: list[str]
    ) -> tuple[ShareView, list[str]]:
        found = dict(zip(rows[::2], rows[1::2], strict=True))
        holders = {f[2:]: json.loads(v) for f, v in found.items() if f.startswith("h:")}
        wishes = {f[2:]: json.loads(v) for f, v in found.items() if f.startswith("w:")}
        dead = [one for one in {*holders, *wishes} if one != self.id and self._is_dead(one)]
        for one in dead:
            holders.pop(one, None)
            wishes.pop(one, None)
        mine = holders.pop(self.id, None)
        self._fence = mine["fence"] if mine else 0
        claims = {id_: max(h["grant"], h["held"]) for id_, h in holders.items()}
        claims[self.id] = max(mine["grant"], mine["held"]) if mine else 0
        queue = sorted(wishes.items(), key=lambda item: item[1]["place"])
        view = ShareView(
            granted,
            live,
            mine["grant"] if mine else 0,
            tuple(_holder(id_, h, now_ms) for id_, h in sorted(holders.items())),
            tuple(_wish(id_, w, claims.get(id_, 0)) for id_, w in queue),
        )
        return view, dead

    def _is_dead(self, holder: str) -> bool:
        owner = Owner.parse(holder)
        return owner.is_here() and self._has_ended(owner)


def open_share(settings: Settings, device: DeviceBackend) -> GpuShare | None:
    """Return the share of a device; None where nothing is shared.

    A ledger is shared only if the address names it (``…#name``): other processes without a GPU
    have memory of their own.
    """
    url, ledger = share_address(settings)
    on_ledger = device.name is not BackendName.CUDA
    if not url or (on_ledger and not (ledger and settings.ledger_vram_mb)):
        return None
    key = f"ledger:{host_name()}:{ledger}" if on_ledger else _device_key()
    name = f"{host_name()}:{settings.port}"
    holder = HolderName(Owner.this_process(), name)
    client = QuickRedis.to(url, silence_s=SILENCE_S)
    return GpuShare(client, key, holder, keeps_silent=on_ledger)


def share_address(settings: Settings) -> tuple[str, str]:
    """Return the address of the Redis for grants and the name of a ledger; '' where there is none.

    Servers that share a Redis anyway share grants there too. The private one of a single server
    is no meeting place.

    Raises
    ------
    StartFailed
        It is no address of a Redis.
    """
    url = settings.gpu_share_url
    if not url:
        common = settings.redis_url and settings.redis_url != redis_url(settings.data_dir)
        return (settings.redis_url if common else ""), ""
    address, _, ledger = url.partition("#")
    if not address.startswith(SCHEMES):
        raise StartFailed(
            "MESHKILN_GPU_SHARE_URL is not the address of a Redis.",
            advice="Write redis://host:port/0 or unix:///path/of/the.sock.",
        )
    return address, ledger


def has_ended_here(owner: Owner) -> bool:
    """Whether a process of this machine has ended; one that only hides from us has not."""
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return True
    except PermissionError:  # somebody else's
        pass
    return psutil.pid_exists(owner.pid) and _is_readable(owner.pid) and owner.is_dead()


def _is_readable(pid: int) -> bool:
    try:
        psutil.Process(pid).create_time()
    except psutil.Error:
        return False
    return True


def _device_key() -> str:
    """Name the physical device, or the slice of one, that this process sees first."""
    visible = os.environ.get(VISIBLE, "").split(",")[0].strip()
    if visible.startswith("MIG-"):
        return f"gpu:{visible}"
    devices = visible_devices(telemetry_source().sample(), os.environ)
    uuid = devices[0].get("uuid") if devices else None
    return f"gpu:{uuid}" if uuid else f"gpu:{host_name()}:{visible or '0'}"


def _said(holding: Holding) -> dict[str, int]:
    return {
        "held": holding.held_bytes,
        "idle": holding.idle_bytes,
        "idle_ms": round(1000 * holding.idle_s),
    }


def _holder(id_: str, said: dict[str, Any], now_ms: int) -> Holder:
    return Holder(
        id=id_,
        name=said["name"],
        host=said["host"],
        pid=said["pid"],
        since=_moment(said["since_ms"]),
        grant_bytes=said["grant"],
        holding=Holding(said["held"], said["idle"], said["idle_ms"] / 1000),
        expired=said["ends_ms"] <= now_ms,
    )


def _wish(id_: str, said: dict[str, Any], claim_bytes: int) -> Wish:
    return Wish(
        holder=id_,
        name=said["name"],
        pid=said["pid"],
        place=said["place"],
        since=_moment(said["since_ms"]),
        target_bytes=said["target"],
        extra_bytes=max(0, said["target"] - claim_bytes),
        holds=said["holds"],
    )


def _moment(stamp_ms: int) -> datetime:
    return datetime.fromtimestamp(stamp_ms / 1000, UTC)
