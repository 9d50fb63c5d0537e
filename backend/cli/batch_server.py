"""What the command line asks a server about batches; problems become our errors."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import requests

from backend.cli.batch_ledger import Picture
from backend.cli.remote import CONNECT_S, READ_S, key_header
from backend.errors import FieldProblem, MeshkilnError, WorkerOffline

SEND_S = 600.0
CHUNK_BYTES = 1 << 18
_LATER = frozenset({429, 503})


class ServerBusy(MeshkilnError):
    """The server takes nothing at the moment; ``retry_after_s`` says when to ask again."""


class ServerRefused(MeshkilnError):
    """The server answered with a problem."""


class NoneAccepted(ServerRefused):
    """The server can use no picture of a batch; ``fields`` tells why, picture by picture."""


class BatchServer:
    """A running server; every method raises WorkerOffline, ServerBusy and ServerRefused.

    Parameters
    ----------
    base : str
        Its address.
    """

    def __init__(self, base: str) -> None:
        self._base = base.rstrip("/")
        self._session = requests.Session()
        self._session.headers.update(key_header())

    def url(self, path: str) -> str:
        """Complete an address of the server's."""
        return path if "://" in path else self._base + path

    def send(
        self, name: str, pictures: Sequence[Picture], params: dict[str, Any], key: str
    ) -> dict[str, Any]:
        """Send pictures as a batch, each under its name in the folder."""
        lines = "\n".join(
            json.dumps({"custom_id": picture.name, "file": picture.name}) for picture in pictures
        )
        form = {"pipeline": "image_to_3d", "name": name, "params": json.dumps(params)}
        with ExitStack() as stack:
            files: list[tuple[str, Any]] = [("items", ("items.jsonl", lines))]
            files += [
                ("file", (picture.name, stack.enter_context(picture.path.open("rb"))))
                for picture in pictures
            ]
            more = {"data": form, "files": files, "headers": {"Idempotency-Key": key}}
            return self._json("POST", "/api/v1/batches", read_s=SEND_S, **more)

    def batch(self, address: str) -> dict[str, Any]:
        """Look up a batch with its items."""
        return self._json("GET", address)

    def job(self, job_id: str) -> dict[str, Any]:
        """Look up a job."""
        return self._json("GET", f"/api/v1/jobs/{job_id}")

    def fetch(self, job_id: str, folder: Path) -> list[str]:
        """Download the results of a job; returns the names of the files.

        Raises
        ------
        ServerRefused
            Also when a file is not what the server says of it.
        """
        outputs = self.job(job_id)["outputs"]
        for output in outputs:
            self._download(output, folder / Path(output["name"]).name)
        if not outputs:
            raise ServerRefused("The files of this job were removed from the server.")
        return [Path(output["name"]).name for output in outputs]

    def _download(self, output: dict[str, Any], target: Path) -> None:
        partial = target.with_name(f".{target.name}.partial")
        digest = hashlib.sha256()
        with self._call("GET", output["url"], stream=True) as answer, partial.open("wb") as file:
            try:
                for chunk in answer.iter_content(CHUNK_BYTES):
                    digest.update(chunk)
                    file.write(chunk)
            except requests.RequestException as error:
                raise WorkerOffline(f"{self._base} broke off a download.") from error
        if digest.hexdigest() != output["sha256"]:
            partial.unlink()
            raise ServerRefused(f"{target.name} did not arrive as it was sent.")
        partial.replace(target)

    def _json(self, method: str, path: str, **more: Any) -> dict[str, Any]:
        document: dict[str, Any] = self._call(method, path, **more).json()
        return document

    def _call(
        self, method: str, path: str, read_s: float = READ_S, **more: Any
    ) -> requests.Response:
        try:
            answer = self._session.request(
                method, self.url(path), timeout=(CONNECT_S, read_s), **more
            )
        except requests.RequestException as error:
            raise WorkerOffline(
                f"{self._base} does not answer.", advice="Start the server with script/server."
            ) from error
        if answer.status_code in _LATER:
            after = answer.headers.get("Retry-After", "")
            wait_s = int(after) if after.isdecimal() else None
            raise ServerBusy(_problem(answer)["detail"], retry_after_s=wait_s)
        if answer.status_code >= 400:
            problem = _problem(answer)
            refused = NoneAccepted if problem.get("code") == "nothing-accepted" else ServerRefused
            fields = tuple(FieldProblem(**told) for told in problem.get("errors", ()))
            raise refused(problem["detail"], advice=problem.get("advice"), fields=fields)
        return answer


def _problem(answer: requests.Response) -> dict[str, Any]:
    try:
        problem: dict[str, Any] = answer.json()
        return problem if "detail" in problem else {"detail": str(problem)[:200]}
    except ValueError:
        return {"detail": f"The server answered {answer.status_code}."}
