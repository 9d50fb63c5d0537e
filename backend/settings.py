"""Settings from the environment, frozen, each with the place its value came from."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path

from backend.errors import StartFailed

ENV_PREFIX = "MESHKILN_"
RESIDENCY_POLICIES = (
    "auto", "resident", "offload_after_use", "one_at_a_time", "release_after_use",
)  # fmt: skip
ATTENTION_BACKENDS = (
    "auto", "flash_attn_3", "flash_attn_2", "sdpa_flash", "sdpa_cudnn", "sdpa_efficient", "math",
)  # fmt: skip
DECODE_WAYS = ("hierarchical", "dense")
FULL_WEIGHTS, INT8_WEIGHTS = "full", "int8"
_CHOICES = {
    "residency": ("policy", RESIDENCY_POLICIES),
    "attention": ("backend", ATTENTION_BACKENDS),
    "decode": ("way to decode", DECODE_WAYS),
    "weights": ("format of weights", (FULL_WEIGHTS, INT8_WEIGHTS)),
}
_RANGES = {
    "export_compression": (0, 9),
    "export_threads": (1, 16),
    "decode_chunk": (0, 16_777_216),
    "feature_cache_mb": (0, 65_536),
    "max_batch": (1, 64),
    "stage_cache_mb": (0, 1_048_576),
    "speech_vram_mb": (0, 1_048_576),
    "speech_timeout_s": (1, 86_400),
    "max_audio_mb": (1, 1024),
    "max_audio_s": (1, 3600),
    "max_batch_items": (1, 100_000),
    "max_batch_upload_mb": (1, 65_536),
    "max_mesh_mb": (1, 2048),
    "max_mesh_faces": (1, 50_000_000),
    "mesh_memory_mb": (512, 1_048_576),
    "mesh_time_s": (1, 3600),
    "submits_per_min": (1, 1_000_000),
    "batch_items_per_min": (1, 10_000_000),
    "reads_per_min": (1, 1_000_000),
}
_SWITCH = dict.fromkeys(("1", "true", "yes", "on"), True) | dict.fromkeys(
    ("0", "false", "no", "off"), False
)


def default_data_dir(env: Mapping[str, str]) -> Path:
    """Return the folder for jobs and files: XDG_DATA_HOME/meshkiln or ~/.local/share/meshkiln."""
    base = env.get("XDG_DATA_HOME")
    return (Path(base) if base else Path.home() / ".local" / "share") / "meshkiln"


@dataclass(frozen=True)
class Settings:
    """Everything that can be set, with its default.

    Each field is read from ``MESHKILN_<FIELD>``; ``redis_url`` also from ``REDIS_URL`` and
    ``database_url`` also from ``DATABASE_URL``. ``provenance`` tells where a value came from.
    """

    data_dir: Path = Path()
    host: str = "127.0.0.1"
    port: int = 7860
    allowed_hosts: tuple[str, ...] = ()
    require_key: bool = False
    submits_per_min: int = 30
    batch_items_per_min: int = 1000
    reads_per_min: int = 300
    share_links: bool = False
    redis_url: str = ""
    database_url: str = ""
    store_url: str = ""
    cache_gb: float = 20.0
    max_upload_mb: int = 32
    fetch_urls: bool = False
    outbound_ports: tuple[str, ...] = ("80", "443")
    webhook_hosts: tuple[str, ...] = ()
    max_image_megapixels: float = 36.0
    max_image_side_px: int = 8192
    min_image_side_px: int = 32
    max_image_aspect: float = 8.0
    stored_image_side_px: int = 2048
    max_mesh_mb: int = 256
    max_mesh_faces: int = 2_000_000
    mesh_memory_mb: int = 3072
    mesh_time_s: float = 60.0
    max_queued_jobs: int = 1000
    max_batch_items: int = 1000
    max_batch_upload_mb: int = 512
    max_attempts: int = 3
    lease_s: float = 60.0
    lease_beat_s: float = 10.0
    cancel_grace_s: float = 15.0
    job_timeout_s: float = 1800.0
    reconcile_s: float = 5.0
    keep_results_days: float = 7.0
    keep_uploads_days: float = 1.0
    keep_results_gb: float = 50.0
    disk_floor_mb: int = 500
    max_sockets: int = 512
    max_sockets_per_ip: int = 64
    web_threads: int = 640
    cpu_workers: int = 0
    gpu: str = "all"
    gpu_management: bool = True
    residency: str = "auto"
    idle_offload_s: float = 60.0
    idle_release_s: float = 600.0
    vram_fraction: float = 0.9
    vram_reserve_mb: int = 512
    pin_budget_mb: int = -1
    ledger_vram_mb: int = 0
    model_path: str = ""
    gpu_share_url: str = ""
    speech_path: str = ""
    speech_python: str = ""
    speech_models: str = ""
    speech_vram_mb: int = 16_384
    speech_timeout_s: float = 600.0
    auto_transcribe: bool = False
    transcribe_model: str = "openai/whisper-large-v3"
    stage_cache_mb: int = 2048
    max_audio_mb: int = 32
    max_audio_s: float = 30.0
    precision: str = "auto"
    weights: str = FULL_WEIGHTS
    feature_cache_mb: int = 512
    attention: str = "auto"
    compile_models: bool = False
    decode: str = "hierarchical"
    decode_chunk: int = 0
    cfg_batch: bool = False
    max_batch: int = 4
    overlap: bool = True
    export_compression: int = 1
    export_threads: int = 1
    log_level: str = "INFO"
    provenance: Mapping[str, str] = field(default_factory=dict, compare=False)

    @classmethod
    def from_env(cls, env: Mapping[str, str] | None = None, **overrides: object) -> Settings:
        """Read settings from the environment; ``overrides`` (command line) win.

        Raises
        ------
        StartFailed
            A variable cannot be read as the type of its field.
        """
        source = os.environ if env is None else env
        values: dict[str, object] = {"data_dir": default_data_dir(source)}
        provenance: dict[str, str] = {}
        for spec in fields(cls):
            if spec.name == "provenance":
                continue
            found = _from_variable(source, spec.name, spec.default)
            if found is not None:
                values[spec.name], provenance[spec.name] = found
        for name, value in overrides.items():
            if value is not None:
                values[name], provenance[name] = value, "command line"
        settings = cls(**values, provenance=provenance)  # type: ignore[arg-type]
        settings._check()
        return settings

    def _check(self) -> None:
        for name, (kind, choices) in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise StartFailed(
                    f"MESHKILN_{name.upper()}={getattr(self, name)!r} is not a {kind}.",
                    advice=f"Choose one of {', '.join(choices)}.",
                )
        for name in ("idle_offload_s", "idle_release_s"):
            seconds = getattr(self, name)
            if not math.isfinite(seconds) or seconds < -1:
                raise StartFailed(
                    f"MESHKILN_{name.upper()}={seconds} is no number of seconds.",
                    advice="Give seconds, or -1 for never.",
                )
        for name, (low, high) in _RANGES.items():
            if not low <= getattr(self, name) <= high:
                raise StartFailed(
                    f"MESHKILN_{name.upper()}={getattr(self, name)} is not from {low} to {high}.",
                    advice="Give a number in that range, or unset it.",
                )
        if not 0 < self.vram_fraction <= 1:
            raise StartFailed(
                f"MESHKILN_VRAM_FRACTION={self.vram_fraction} is not a share between 0 and 1.",
                advice="Set it to 0.9 or unset it.",
            )

    @property
    def sql_url(self) -> str:
        """The SQLAlchemy address: ``database_url``, or SQLite in the data folder."""
        return self.database_url or f"sqlite:///{self.data_dir / 'meshkiln.sqlite3'}"

    @property
    def artefact_dir(self) -> Path:
        """The folder of uploads and results."""
        return self.data_dir / "files"

    @property
    def stage_cache_dir(self) -> Path:
        """The folder of what stages of hosted programs came to."""
        return self.data_dir / "stage-cache"

    def to_env(self) -> dict[str, str]:
        """Write the settings as variables, for child processes."""
        values = {spec.name: getattr(self, spec.name) for spec in fields(self)}
        del values["provenance"]
        return {
            ENV_PREFIX + name.upper(): ",".join(value) if isinstance(value, tuple) else str(value)
            for name, value in values.items()
        }


def _from_variable(env: Mapping[str, str], name: str, default: object) -> tuple[object, str] | None:
    plain = {"redis_url": "REDIS_URL", "database_url": "DATABASE_URL"}.get(name)
    for variable in (ENV_PREFIX + name.upper(), plain):
        if variable and env.get(variable):
            return _read(variable, env[variable], default), variable
    return None


def _read(variable: str, text: str, default: object) -> object:
    try:
        if isinstance(default, bool):
            return _SWITCH[text.strip().lower()]
        if isinstance(default, tuple):
            return tuple(part.strip() for part in text.split(",") if part.strip())
        if isinstance(default, int | float):
            return type(default)(text)
        return Path(text) if isinstance(default, Path) else text
    except (ValueError, KeyError) as error:
        raise StartFailed(
            f"{variable}={text!r} is not a valid {type(default).__name__}",
            advice=f"Correct or unset {variable}.",
        ) from error
