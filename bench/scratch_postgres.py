"""A PostgreSQL of its own in a temporary folder, on a socket only its user reaches."""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, NullPool, create_engine
from sqlalchemy.exc import OperationalError

READY_S = 30.0
USER = "meshkiln"
_PLACES = ("/usr/local/bin", *sorted(map(str, Path("/usr/lib/postgresql").glob("*/bin")))[::-1])
_SERVANTS = ("postgres", "nobody")  # whom it may run as when we are root, which it refuses to be


def find_postgres() -> Path | None:
    """The folder with ``initdb`` and ``postgres``, or None where there is none."""
    found = shutil.which("initdb", path=os.pathsep.join([os.environ.get("PATH", ""), *_PLACES]))
    folder = Path(found).resolve().parent if found else None
    return folder if folder and (folder / "postgres").exists() else None


def has_driver() -> bool:
    """Whether psycopg is installed."""
    return importlib.util.find_spec("psycopg") is not None


class ScratchPostgres:
    """A running cluster.

    Parameters
    ----------
    folder : Path
        Holds the cluster and its socket.
    process : Popen
        The server.
    """

    def __init__(self, folder: Path, process: subprocess.Popen[bytes]) -> None:
        self.folder = folder
        self.process = process

    def url(self, schema: str | None = None) -> str:
        """Return the SQLAlchemy address, of one schema or of the usual one."""
        address = f"postgresql+psycopg://{USER}@/postgres?host={self.folder}"
        return f"{address}&options=-csearch_path%3D{schema}" if schema else address

    def new_schema(self, name: str) -> str:
        """Create an empty schema unless it is there; returns its address."""
        with _connected(self.url()) as connection:
            connection.exec_driver_sql(f'CREATE SCHEMA IF NOT EXISTS "{name}"')
        return self.url(name)

    def answers(self) -> bool:
        """Whether it takes connections."""
        try:
            with _connected(self.url()):
                return True
        except OperationalError:
            return False


@contextmanager
def _connected(url: str) -> Iterator[Connection]:
    engine = create_engine(url, poolclass=NullPool)
    with engine.begin() as connection:
        yield connection


@contextmanager
def scratch_postgres(*, durable: bool) -> Iterator[ScratchPostgres]:
    """Make a cluster, run it, remove it.

    Parameters
    ----------
    durable : bool
        Whether a commit waits for the disk: as in use for measurements, not so for tests.

    Raises
    ------
    RuntimeError
        PostgreSQL is not installed, or does not come up.
    """
    programs = find_postgres()
    if programs is None:
        raise RuntimeError("PostgreSQL (initdb, postgres) is not installed here")
    folder = Path(tempfile.mkdtemp(prefix="mk-pg-"))
    servant = _servant()
    if servant:
        shutil.chown(folder, servant)
    try:
        _make(programs, folder, servant)
        with (folder / "log").open("wb") as log:
            process = subprocess.Popen(
                _command(programs, folder, durable), stdout=log, stderr=log, user=servant, cwd="/"
            )
        made = ScratchPostgres(folder, process)
        try:
            _wait(made)
            yield made
        finally:
            _stop(process)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _servant() -> str | None:
    if os.geteuid() != 0:
        return None
    known = {entry.pw_name for entry in pwd.getpwall()}
    return next(name for name in _SERVANTS if name in known)


def _make(programs: Path, folder: Path, servant: str | None) -> None:
    command = [str(programs / "initdb"), "-D", str(folder / "data"), "-A", "trust", "-U", USER,
               "--no-sync", "-E", "UTF8", "--locale=C.UTF-8"]  # fmt: skip
    done = subprocess.run(
        command, user=servant, cwd="/", capture_output=True, text=True, check=False
    )
    if done.returncode:
        raise RuntimeError(f"initdb failed: {done.stderr}")


def _command(programs: Path, folder: Path, durable: bool) -> list[str]:
    settings = {
        "listen_addresses": "",
        "unix_socket_directories": str(folder),
        "max_connections": "300",
        "fsync": "on" if durable else "off",
        "synchronous_commit": "on" if durable else "off",
    }
    options = [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
    return [str(programs / "postgres"), "-D", str(folder / "data"), *options]


def _wait(made: ScratchPostgres) -> None:
    deadline_s = time.monotonic() + READY_S
    while not made.answers():
        if made.process.poll() is not None or time.monotonic() > deadline_s:
            raise RuntimeError((made.folder / "log").read_text(errors="replace"))
        time.sleep(0.05)


def _stop(process: subprocess.Popen[bytes]) -> None:
    """End it although clients are connected."""
    process.send_signal(signal.SIGINT)  # "fast": disconnects the clients
    try:
        process.wait(timeout=10)
    except subprocess.TimeoutExpired:
        process.send_signal(signal.SIGQUIT)  # "immediate"
        process.wait(timeout=10)
