"""``webhook-secret``: shows or changes what webhooks are signed with."""

from __future__ import annotations

import argparse
import sys

from backend.jobs.webhooks.secret_file import SecretFile
from backend.settings import Settings


def add_parser(commands: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the command to the command line."""
    parser = commands.add_parser("webhook-secret", help="show what webhooks are signed with")
    change = parser.add_mutually_exclusive_group()
    change.add_argument(
        "--rotate",
        action="store_true",
        help="make a new secret; webhooks are signed with both until the old one is dropped",
    )
    change.add_argument("--drop-old", action="store_true", help="sign with the newest one only")
    parser.set_defaults(command=show_secret)


def show_secret(args: argparse.Namespace) -> int:
    """Print the secret, alone on its line so that scripts can read it."""
    settings = Settings.from_env()
    settings.data_dir.mkdir(parents=True, exist_ok=True, mode=0o700)
    secrets = SecretFile(settings.data_dir)
    if args.rotate:
        secrets.rotate()
    elif args.drop_old:
        secrets.drop_old()
    newest, *old = secrets.secrets()
    print(newest)
    if old:
        print("The one before is still signed with; drop it with --drop-old.", file=sys.stderr)
    return 0
