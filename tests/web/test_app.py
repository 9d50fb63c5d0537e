from __future__ import annotations

import resource
import subprocess
import sys

import pytest

HEAVY = ("torch", "cv2", "scipy", "trimesh", "skimage", "embreex", "numpy.random")
PROBE = f"""
import sys
from pathlib import Path
from backend.settings import Settings
from backend.web.app import create_app
create_app(Settings(data_dir=Path(sys.argv[1])))
print([name for name in {HEAVY!r} if name in sys.modules])
"""


def test_the_web_process_imports_nothing_heavy(tmp_path):
    before_s = processor_s()
    done = subprocess.run(
        [sys.executable, "-c", PROBE, str(tmp_path)], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
    assert processor_s() - before_s < 5  # about 0.6 s; it compiles its own code where it must


def processor_s() -> float:
    """Processor time of the processes that have been waited for: a busy machine adds none."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_extensions_hold_the_service(server):
    assert server.app.extensions["meshkiln"] is server.service


@pytest.mark.parametrize(
    ("path", "age_s"),
    [
        ("vendor/htmx-4.0.1/htmx.min.js", 31536000),
        ("vendor/three-0.183.2/three.core.min.js", 31536000),
        ("vendor/VENDOR.toml", None),
        ("css/base.css", None),
        ("js/app-1.2.js", None),
    ],
)
def test_only_vendored_versions_are_kept_for_long(server, path, age_s):
    assert server.app.get_send_file_max_age(path) == age_s


def test_own_static_files_are_asked_for_with_an_etag(server):
    answer = server.client.get("/static/vendor/VENDOR.toml")
    if answer.status_code == 200:
        assert "no-cache" in answer.headers["Cache-Control"]
        assert answer.headers["ETag"]
    answer.close()
