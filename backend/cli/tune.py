"""``tune``: measure which settings are fastest on this machine, here or on a running server."""

from __future__ import annotations

import argparse
import json
import logging
import signal
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskID, TextColumn
from rich.table import Table
from sqlalchemy.exc import SQLAlchemyError

from backend.catalog import PipelineName, PipelineParams, TuneStageName, parse_params
from backend.cli.remote import call
from backend.errors import (
    GenerationFailed,
    InvalidParameter,
    JobCanceled,
    MeshkilnError,
    MissingFile,
)
from backend.jobs.job_engines import engines_words
from backend.jobs.service import JobService
from backend.jobs.tuned_settings import keep_report, values_kept
from backend.progress import SilentSink
from backend.runtime_settings import in_force, started_with
from backend.settings import Settings
from backend.tuning.picture import drawn_picture
from backend.tuning.report_words import (
    outcome_words,
    speed_words,
    stop_words,
    value_words,
    verdict_words,
)
from backend.units import SystemClock, new_id

POLL_S = 1.0
# The worker keeps what it found just after the job has ended, and tries again while others write.
KEPT_WITHIN_S = 30.0
NOT_KEPT = 1
INTERRUPTED = 130
PICTURE_NAME = "auto-tune.png"

log = logging.getLogger(__name__)

Report = dict[str, Any]
# Which changes of a report were read back as being in force, by the names of settings.
InForce = Mapping[str, bool]


def tune(args: argparse.Namespace) -> int:
    """Tune, print the report, and keep what was found unless ``--dry-run`` is given."""
    if args.json and not args.json.absolute().parent.is_dir():
        raise InvalidParameter(f"{args.json}: the folder does not exist.")
    params = _params(args)
    picture = _read(args.image) if args.image else drawn_picture()
    name = args.image.name if args.image else PICTURE_NAME
    if args.server:
        report, in_force_now = _tune_on_server(args.server.rstrip("/"), name, picture, params)
    else:
        report, in_force_now = _tune_here(name, picture, params)
    if args.json:
        args.json.write_text(json.dumps(report, indent=1) + "\n")
    print_report(report, Console(), in_force_now, dry_run=args.dry_run)
    if report["stopped"] == "canceled":
        return INTERRUPTED
    return 0 if args.dry_run or all(_holding(report, in_force_now)) else NOT_KEPT


def print_report(report: Report, console: Console, in_force_now: InForce, *, dry_run: bool) -> None:
    """Print what was tried and what came of it."""
    reference = report["reference"]
    console.print(
        f"{report['pipeline']}, {report['preset']}, on {report['device']}: "
        f"{reference['p50_s']:.2f} s a run before, median of {reference['runs']}."
    )
    if report["tried"]:
        console.print(_table(report))
    for left_out in report["left_out"]:
        console.print(f"Not tried: {left_out['setting']}. {left_out['reason']}")
    for note in report["notes"]:
        console.print(f"[yellow]Note:[/] {note}")
    console.print(f"{outcome_words(report['outcome'])} {stop_words(report['stopped'])}")
    if report["final"]:
        console.print(f"Last check, new against old: {speed_words(report['final'])}.")
    if dry_run or report["stopped"] == "canceled" or not report["changes"]:
        for change in report["changes"] if report["stopped"] != "canceled" else []:
            console.print(f"[bold]{change['setting']}[/] would be {_change_words(change)}.")
        console.print("No setting was changed.")
        return
    for change, holds in zip(report["changes"], _holding(report, in_force_now), strict=True):
        setting = f"[bold]{change['setting']}[/]"
        if holds:
            console.print(f"{setting} is in force from now on: {_change_words(change)}.")
        else:
            console.print(f"{setting} is [red]not in force[/]: {_change_words(change)} was found.")
    if all(_holding(report, in_force_now)):
        work = f"{report['pipeline']} with {engines_words(report['engines'])}"
        console.print(
            f"This holds for jobs of {work} on {report['device']}, wherever the server is started "
            "with the same settings."
        )
    else:
        console.print("It could not be kept, or something else has been set since.")


def _holding(report: Report, in_force_now: InForce) -> list[bool]:
    return [in_force_now.get(change["setting"], False) for change in report["changes"]]


def _change_words(change: Mapping[str, Any]) -> str:
    return f"{value_words(change['to'])} instead of {value_words(change['from'])}"


def _table(report: Report) -> Table:
    table = Table("Setting", "From", "To", "Verdict", "Measured")
    for tried in report["tried"]:
        table.add_row(
            tried["setting"],
            value_words(tried["from"]),
            value_words(tried["to"]),
            verdict_words(tried["verdict"]),
            tried["reason"] or speed_words(tried),
        )
    return table


def _params(args: argparse.Namespace) -> PipelineParams:
    given = {
        "target": args.pipeline,
        "preset": args.preset,
        "budget_s": args.budget_s,
        "vram_limit_mb": args.vram_limit_mb,
        "latency_limit_s": args.latency_limit_s,
        "dry_run": args.dry_run,
    }
    return parse_params(PipelineName.TUNE, {k: v for k, v in given.items() if v is not None})


def _read(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise MissingFile(f"{path}: {error.strerror}", advice="Check the path.") from error


def _tune_here(name: str, picture: bytes, params: PipelineParams) -> tuple[Report, InForce]:
    from backend.jobs.job_runner import load_runner
    from backend.pipelines.pipeline import PipelineRequest
    from backend.pipelines.tune import REPORT
    from backend.web.uploads import normalise_image

    settings = Settings.from_env()
    normal = normalise_image(picture, name, settings)
    with tempfile.TemporaryDirectory(prefix="meshkiln-") as scratch, _service(settings) as service:
        folder = Path(scratch)
        image = folder / normal.file_name
        image.write_bytes(normal.data)
        out_dir = folder / "out"
        out_dir.mkdir()
        request = PipelineRequest({"image": image}, params, out_dir)
        target = str(params.model_dump(mode="json")["target"])
        values = started_with(settings) | service.tuning.values(target)
        with TrialBars(Console(stderr=True)) as sink, in_force(values):
            try:
                outcome = load_runner()(PipelineName.TUNE, request, sink)
            except JobCanceled:
                if not (out_dir / REPORT).exists():  # not even the first runs had ended
                    raise KeyboardInterrupt from None
                return json.loads((out_dir / REPORT).read_text()), {}
        found: Report = outcome.facts["tuning"]
        return found, _kept_here(service, found, dry_run=bool(params.model_dump()["dry_run"]))


def _kept_here(service: JobService, found: Report, *, dry_run: bool) -> InForce:
    try:
        keep_report(service, new_id(SystemClock().now()), found, dry_run=dry_run)
        return values_kept(service, found)
    except SQLAlchemyError as error:
        log.warning("what was found could not be kept (%s)", error)
        return {}


@contextmanager
def _service(settings: Settings) -> Iterator[JobService]:
    service = JobService(settings)
    try:
        yield service
    finally:
        service.close()


def _tune_on_server(
    base: str, name: str, picture: bytes, params: PipelineParams
) -> tuple[Report, InForce]:
    form = {"pipeline": PipelineName.TUNE.value, "params": params.model_dump_json()}
    sent = call("POST", f"{base}/api/v1/jobs", files={"file": (name, picture)}, data=form)
    address = f"{base}/api/v1/jobs/{sent.json()['id']}"
    try:
        job = _follow(address)
    except KeyboardInterrupt:
        call("POST", f"{address}/cancel")
        raise
    if job["status"] != "succeeded":
        error = job["error"] or {"detail": f"The job was {job['status']}.", "advice": None}
        raise GenerationFailed(error["detail"], advice=error["advice"])
    report: Report = job["facts"]["tuning"]
    return report, _kept_there(f"{base}/performance/tune/{job['id']}")


def _kept_there(address: str) -> InForce:
    """Wait until the worker has kept its report; empty if it has not in half a minute."""
    for _ in range(round(KEPT_WITHIN_S / POLL_S)):
        try:
            answer: dict[str, Any] = call("GET", address).json()
        except (MeshkilnError, ValueError):  # a server that cannot tell is not believed
            return {}
        if answer["kept"]:
            return dict(answer["in_force"])
        time.sleep(POLL_S)
    return {}


def _follow(address: str) -> dict[str, Any]:
    """Ask until the job has ended: it takes minutes, so once a second is often enough."""
    with Progress(console=Console(stderr=True)) as bar:
        task = bar.add_task("auto-tune", total=100)
        while True:
            job: dict[str, Any] = call("GET", address).json()
            stage = (job["stage"] or job["status"]).replace("_", " ")
            bar.update(task, completed=job["progress"], description=stage)
            if job["finished_at"]:
                return job
            time.sleep(POLL_S)


class TrialBars(SilentSink):
    """A bar per stage, counting runs; Ctrl-C ends the search after the run at hand.

    Parameters
    ----------
    console : rich.console.Console
        Where to draw.
    """

    def __init__(self, console: Console) -> None:
        columns = (TextColumn("{task.description:<16}"), BarColumn(), MofNCompleteColumn())
        self._bars = Progress(*columns, TextColumn("runs at most"), console=console)
        self._tasks: dict[str, TaskID] = {
            name: self._bars.add_task(name.replace("_", " "), total=None, start=False)
            for name in TuneStageName
        }
        self._stopped = False
        self._before: Any = None

    def __enter__(self) -> TrialBars:
        self._before = signal.signal(signal.SIGINT, self._stop)
        self._bars.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._bars.stop()
        signal.signal(signal.SIGINT, self._before)

    def stage_started(self, stage: str) -> None:
        """Start the stage's bar."""
        self._bars.start_task(self._tasks[stage])

    def stage_progress(self, stage: str, step: int, steps: int) -> None:
        """Count a run; how many there will be changes with what they show."""
        self._bars.update(self._tasks[stage], completed=step, total=steps)

    def stage_finished(self, stage: str, elapsed_s: float) -> None:
        """Fill the bar with the runs that were needed."""
        task = self._bars.tasks[self._tasks[stage]]
        runs = max(task.completed, 1)
        self._bars.update(self._tasks[stage], total=runs, completed=runs)

    def is_canceled(self) -> bool:
        """Whether Ctrl-C was pressed."""
        return self._stopped

    def _stop(self, *_: object) -> None:
        self._stopped = True
