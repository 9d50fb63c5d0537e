"""Runs ``batch``: finds what is missing, has it made, and tells what failed."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.table import Table

from backend.catalog import PipelineName, parse_params
from backend.cli.batch_here import process_here
from backend.cli.batch_ledger import Ledger, Outcome, Picture, find_pictures
from backend.cli.batch_progress import BatchLine
from backend.cli.batch_remote import process_on_server
from backend.cli.parameters import given_params

MAX_SHOWN = 20


def run_batch(args: argparse.Namespace) -> int:
    """Process a folder; returns 1 if a picture failed."""
    console = Console(stderr=True)
    params = given_params(args)
    parse_params(PipelineName.IMAGE_TO_3D, dict(params))
    pictures = find_pictures(args.folder, args.output, params)
    ledger = Ledger(args.output)
    todo = ledger.add(pictures)
    if len(todo) < len(pictures):
        console.print(f"{len(pictures) - len(todo)} of {len(pictures)} were done before.")
    if todo:
        _process(args, todo, ledger, console)
    return _summary(pictures, ledger, console)


def _process(
    args: argparse.Namespace, todo: list[Picture], ledger: Ledger, console: Console
) -> None:
    params = given_params(args)
    try:
        with BatchLine(console) as line:
            if args.server:
                name = args.folder.resolve().name
                process_on_server(args.server, name, todo, params, ledger, line)
            else:
                process_here(todo, params, ledger, line)
    except KeyboardInterrupt:
        console.print("Stopped. The same command goes on from here.")
        if args.server:
            console.print("What was sent is made on the server meanwhile.")
        raise


def _summary(pictures: list[Picture], ledger: Ledger, console: Console) -> int:
    outcomes = {picture.name: ledger.entries[picture.name] for picture in pictures}
    failed = {
        name: entry for name, entry in outcomes.items() if entry.outcome is not Outcome.SUCCEEDED
    }
    if failed:
        table = Table("Picture", "Why there is no model", title="Failed")
        for name, entry in list(failed.items())[:MAX_SHOWN]:
            table.add_row(name, entry.error or "not finished")
        console.print(table)
        if len(failed) > MAX_SHOWN:
            console.print(f"and {len(failed) - MAX_SHOWN} more")
    made = len(pictures) - len(failed)
    console.print(f"{made} of {len(pictures)} pictures are models in {ledger.out_dir}")
    return 1 if failed else 0
