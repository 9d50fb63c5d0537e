"""Whether this container does its part: ``health.py web`` or ``health.py worker``."""

from __future__ import annotations

import sys
import urllib.request

from backend.jobs.owners import Owner
from backend.jobs.redis_url import connect
from backend.jobs.worker_status import read_statuses
from backend.settings import Settings


def web_answers(settings: Settings) -> bool:
    """Whether the web process answers."""
    address = f"http://127.0.0.1:{settings.port}/healthz"
    with urllib.request.urlopen(address, timeout=3) as answer:
        return bool(answer.status == 200)


def workers_beat(settings: Settings) -> bool:
    """Whether a worker of this container has spoken in the last seconds."""
    beats = read_statuses(connect(settings.redis_url, socket_timeout=3))
    return any(Owner.parse(str(beat["epoch"])).is_here() for beat in beats)


if __name__ == "__main__":
    check = {"web": web_answers, "worker": workers_beat}[sys.argv[1]]
    sys.exit(0 if check(Settings.from_env()) else 1)
