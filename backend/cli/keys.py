"""``keys`` and ``audit``: who may use this server, and what was done with the right to."""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

from rich.console import Console
from rich.table import Table
from rich.text import Text

from backend.jobs.access.api_key import ApiKey, KeyLimits
from backend.settings import Settings
from backend.units import SystemClock, iso

if TYPE_CHECKING:
    from backend.jobs.access.access import Access

COMMAND_LINE = "command line"


def add_commands(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add both commands to the parser."""
    keys = commands.add_parser("keys", help="make, list and revoke the keys of this server")
    actions = keys.add_subparsers(required=True, metavar="action")
    _add_create(actions)
    listing = actions.add_parser("list", help="all keys, also those that have ended")
    listing.set_defaults(command=list_keys)
    revoke = actions.add_parser("revoke", help="end a key at once, and its logins")
    revoke.add_argument("key", metavar="NAME|PREFIX")
    revoke.set_defaults(command=revoke_key)
    audit = commands.add_parser("audit", help="what was done with administrators' keys")
    audit.add_argument(
        "--since", type=_moment, metavar="TIME", help="such as 2026-11-21 or 2026-11-21T10:00"
    )
    audit.set_defaults(command=print_audit)
    for parser in (*actions.choices.values(), audit):
        parser.add_argument("--data-dir", type=Path, help="folder of jobs and files")


def create_key(args: argparse.Namespace) -> int:
    """Make a key and print it, this once."""
    limits = KeyLimits(
        args.submits_per_min, args.reads_per_min, args.max_queued, args.max_stored_gb
    )
    lasts = timedelta(days=args.expires_days) if args.expires_days else None
    with _access(args) as access:
        key, secret = access.keys.create(
            args.name, is_admin=args.admin, expires_in=lasts, limits=limits
        )
        access.audit.record("key.created", key.name, actor=COMMAND_LINE, admin=key.is_admin)
    print(secret)
    Console(stderr=True, highlight=False).print(
        "Keep it: only its hash is stored, so it cannot be shown again."
    )
    return 0


def list_keys(args: argparse.Namespace) -> int:
    """Print a table of all keys."""
    with _access(args) as access:
        keys = access.keys.all_keys()
    if not keys:
        print("There are no keys. Make one with 'python -m backend keys create NAME'.")
        return 0
    table = _table("Name", "Prefix", "State", "May", "Made", "Last used", "Ends")
    for key in keys:
        table.add_row(*(Text(cell) for cell in _row(key)))
    Console().print(table)
    return 0


def revoke_key(args: argparse.Namespace) -> int:
    """End a key."""
    with _access(args) as access:
        key = access.keys.revoke(args.key)
        access.audit.record("key.revoked", key.name, actor=COMMAND_LINE)
    print(f"Revoked {key.name} ({key.prefix}…).")
    return 0


def print_audit(args: argparse.Namespace) -> int:
    """Print the audit log, the oldest entry first."""
    with _access(args) as access:
        entries = access.audit.entries(args.since)
    table = _table("Time", "Who", "What", "Of what", "From", "Details")
    for entry in entries:
        detail = ", ".join(f"{name} {value}" for name, value in entry.detail.items())
        cells = (_shown(entry.at), entry.actor, entry.action, entry.target, entry.client, detail)
        table.add_row(*(Text(_printable(cell or "")) for cell in cells))
    Console().print(table)
    return 0


def _add_create(actions: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    create = actions.add_parser("create", help="make a key; it is printed once")
    create.add_argument("name", metavar="NAME", help="whom or what it is for")
    create.add_argument("--admin", action="store_true", help="may also change the server")
    limits: tuple[tuple[str, Any, str, str], ...] = (
        ("--expires-days", float, "DAYS", "it ends after this; never if absent"),
        ("--submits-per-min", int, "N", "submits a minute, default MESHKILN_SUBMITS_PER_MIN"),
        ("--reads-per-min", int, "N", "other requests, default MESHKILN_READS_PER_MIN"),
        ("--max-queued", int, "N", "jobs that may wait at a time"),
        ("--max-stored-gb", float, "GB", "refuse jobs while its results take more"),
    )
    for option, kind, unit, meaning in limits:
        create.add_argument(option, type=_above_zero(kind), metavar=unit, help=meaning)
    create.set_defaults(command=create_key)


@contextmanager
def _access(args: argparse.Namespace) -> Iterator[Access]:
    # the database takes its time to import, and most commands do not need it
    from backend.jobs.access.access import Access
    from backend.jobs.store import JobStore

    data_dir = args.data_dir and args.data_dir.expanduser().resolve()
    settings = Settings.from_env(data_dir=data_dir)
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    clock = SystemClock()
    store = JobStore(settings.sql_url, clock)
    try:
        yield Access(store.engine, settings, clock)
    finally:
        store.close()


def _table(*titles: str) -> Table:
    """Make a table without lines, which leaves the width to what is in it."""
    table = Table(box=None, pad_edge=False)
    for title in titles:
        table.add_column(title, overflow="fold", no_wrap=title == "Prefix")
    return table


def _row(key: ApiKey) -> tuple[str, ...]:
    if key.revoked_at is not None:
        state = "revoked"
    else:
        state = "live" if key.is_live(SystemClock().now()) else "expired"
    return (
        key.name,
        key.prefix,
        state,
        "everything" if key.is_admin else "own jobs",
        _shown(key.created_at)[:10],
        _shown(key.last_used_at)[:10],
        _shown(key.revoked_at or key.expires_at)[:10],
    )


def _shown(moment: datetime | None) -> str:
    return str(iso(moment))[:16].replace("T", " ") if moment else "never"


def _printable(text: str) -> str:
    """Keep what a client sent from steering the terminal."""
    return "".join(c if c.isprintable() else "�" for c in text)


def _moment(text: str) -> datetime:
    try:
        found = datetime.fromisoformat(text)
    except ValueError as error:
        raise argparse.ArgumentTypeError(f"{text!r} is no time") from error
    return found if found.tzinfo else found.replace(tzinfo=UTC)


def _above_zero(kind: Any) -> Any:
    def read(text: str) -> Any:
        try:
            number = kind(text)
        except ValueError as error:
            raise argparse.ArgumentTypeError(f"{text!r} is no number") from error
        if not 0 < number < 10**9:
            raise argparse.ArgumentTypeError("must be above 0")
        return number

    return read
