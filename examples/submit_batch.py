"""Send a folder of pictures as one batch, wait for it, and download the results.

    python examples/submit_batch.py pictures/ results/ --preset draft
    python examples/submit_batch.py pictures/ results/ --server https://host --webhook https://…

Needs only ``requests``. A key, where the server asks for one, is read from MESHKILN_KEY. The class
can be used from other scripts:

    server = Meshkiln("http://127.0.0.1:7860")
    batch = server.submit([Path("chair.png")], params={"preset": "draft"}, name="chairs")
    done = server.wait(batch["id"], on_change=print)
    server.download(done["id"], Path("results"))
"""

from __future__ import annotations

import argparse
import hashlib
import json
import os
import sys
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import IO, NotRequired, TypedDict, cast

import requests

PICTURES = {".png", ".jpg", ".jpeg", ".webp"}
POLL_S = 1.0
SENDING_S = 600.0


class Counts(TypedDict):
    """Items by what became of them."""

    total: int
    queued: int
    running: int
    succeeded: int
    failed: int
    canceled: int
    refused: int
    deleted: int


class Item(TypedDict):
    """One picture of a batch: its job, or the problem for which it has none."""

    custom_id: str
    status: str
    job_id: NotRequired[str]
    problem: NotRequired[dict[str, object]]


class Batch(TypedDict):
    """A batch, as far as this client looks at it."""

    id: str
    status: str
    counts: Counts
    jobs_per_min: float | None
    eta_s: float | None
    items: list[Item]
    links: dict[str, str]


class Result(TypedDict):
    """What became of one picture."""

    custom_id: str
    status: str
    error: dict[str, object] | None


class Meshkiln:
    """A running server.

    Parameters
    ----------
    server : str
        Its address.
    key : str, optional
        An API key.
    """

    def __init__(self, server: str, key: str | None = None) -> None:
        self._server = server.rstrip("/")
        self._session = requests.Session()
        if key:
            self._session.headers["Authorization"] = f"Bearer {key}"

    def submit(
        self,
        pictures: Sequence[Path],
        *,
        params: dict[str, str] | None = None,
        name: str = "batch",
        webhook_url: str | None = None,
    ) -> Batch:
        """Send pictures as one batch; sent again within a day, it is the same batch."""
        fields = {"pipeline": "image_to_3d", "name": name, **(params or {})}
        if webhook_url:
            fields["webhook_url"] = webhook_url
        key = hashlib.sha256(repr(sorted(fields.items())).encode())
        with tempfile.TemporaryFile() as packed:
            _pack(pictures, packed)
            while chunk := packed.read(1 << 20):
                key.update(chunk)
            packed.seek(0)
            answer = self._call(
                "POST",
                "/api/v1/batches",
                data=fields,
                files={"archive": ("pictures.zip", packed)},
                headers={"Idempotency-Key": key.hexdigest()},
                timeout=SENDING_S,
            )
        return cast("Batch", answer.json())

    def batch(self, batch_id: str) -> Batch:
        """Look a batch up."""
        return cast("Batch", self._call("GET", f"/api/v1/batches/{batch_id}").json())

    def wait(self, batch_id: str, on_change: Callable[[Batch], object] | None = None) -> Batch:
        """Return when nothing of a batch waits or runs any more."""
        last = None
        while True:
            batch = self.batch(batch_id)
            if on_change and batch["counts"] != last:
                on_change(batch)
                last = batch["counts"]
            if batch["status"] in ("finished", "canceled"):
                return batch
            time.sleep(POLL_S)

    def results(self, batch_id: str) -> Iterator[Result]:
        """Yield what became of each picture."""
        answer = self._call("GET", f"/api/v1/batches/{batch_id}/results", stream=True)
        for line in answer.iter_lines():
            yield cast("Result", json.loads(line))

    def download(self, batch_id: str, folder: Path) -> list[Path]:
        """Fetch all files, to ``folder/<picture>/<file>``."""
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder) as packed:
            answer = self._call("GET", f"/api/v1/batches/{batch_id}/archive", stream=True)
            for chunk in answer.iter_content(1 << 20):
                packed.write(chunk)
            with zipfile.ZipFile(packed) as archive:
                return [Path(archive.extract(info, folder)) for info in archive.infolist()]

    def _call(
        self, method: str, path: str, timeout: float = 60.0, **more: object
    ) -> requests.Response:
        answer = self._session.request(
            method,
            self._server + path,
            timeout=timeout,
            **more,  # type: ignore[arg-type]
        )
        if answer.status_code >= 400:
            sys.exit(_problem(answer))
        return answer


def _pack(pictures: Sequence[Path], target: IO[bytes]) -> None:
    """Write a zip that is the same each time; pictures are compressed already."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for picture in pictures:
            archive.writestr(zipfile.ZipInfo(picture.name), picture.read_bytes())
    target.seek(0)


def _problem(answer: requests.Response) -> str:
    try:
        problem = answer.json()
        return f"{problem['title']}: {problem['detail']} {problem['advice']}"
    except (ValueError, KeyError):
        return f"The server answered {answer.status_code}."


def _show(batch: Batch) -> None:
    counts, left_s = batch["counts"], batch["eta_s"]
    ended = counts["total"] - counts["queued"] - counts["running"]
    left = "" if left_s is None else f", about {left_s:.0f} s left"
    print(f"{batch['status']}: {ended} of {counts['total']} done{left}", flush=True)


def main(arguments: Sequence[str] | None = None) -> int:
    """Submit, wait, download; returns 1 if a picture has no model."""
    parser = argparse.ArgumentParser(description="Send a folder of pictures as one batch.")
    parser.add_argument("folder", type=Path, help="PNG, JPEG and WebP files")
    parser.add_argument("results", type=Path, help="where the models go")
    parser.add_argument("--server", default="http://127.0.0.1:7860", metavar="URL")
    parser.add_argument("--preset", default="standard", choices=["draft", "standard", "high"])
    parser.add_argument("--webhook", metavar="URL", help="told when the batch has ended")
    args = parser.parse_args(arguments)
    pictures = sorted(p for p in args.folder.iterdir() if p.suffix.lower() in PICTURES)
    if not pictures:
        parser.error(f"{args.folder} holds no picture")
    server = Meshkiln(args.server, os.environ.get("MESHKILN_KEY"))
    batch = server.submit(
        pictures,
        params={"preset": args.preset},
        name=args.folder.resolve().name,
        webhook_url=args.webhook,
    )
    done = server.wait(batch["id"], on_change=_show)
    server.download(done["id"], args.results)
    for result in server.results(done["id"]):
        if result["error"]:
            print(f"{result['custom_id']}: {result['error']['detail']}", file=sys.stderr)
    print(f"{done['counts']['succeeded']} of {done['counts']['total']} are in {args.results}")
    return 0 if done["counts"]["succeeded"] == done["counts"]["total"] else 1


if __name__ == "__main__":
    sys.exit(main())
