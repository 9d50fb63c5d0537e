"""``status``: what a running server is doing."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from backend.cli.remote import call


def print_status(server: str) -> int:
    """Print device, workers and the last jobs of a server."""
    console = Console()
    base = server.rstrip("/")
    gpu = call("GET", f"{base}/api/gpu/status").json()
    worker = gpu.get("worker") or {}
    names = [device["name"] for device in gpu["devices"]] or ["no GPU (CPU mode)"]
    console.print(f"Device: {', '.join(names)}    Worker: {worker.get('state') or 'offline'}")
    jobs = call("GET", f"{base}/api/v1/jobs?limit=10").json()["items"]
    if not jobs:
        console.print("No jobs yet.")
        return 0
    table = Table("Job", "Name", "Status", "Progress", "Stage")
    for job in jobs:
        table.add_row(
            job["id"], job["name"], job["status"], f"{job['progress']:.0f} %", job["stage"] or ""
        )
    console.print(table)
    return 0
