from __future__ import annotations

import base64
import hashlib
import tomllib
from pathlib import Path

import pytest

STATIC = Path(__file__).parents[2] / "frontend" / "static"
VENDOR = STATIC / "vendor"
PACKAGES = tomllib.loads((VENDOR / "VENDOR.toml").read_text())["package"]


@pytest.mark.parametrize("package", PACKAGES, ids=lambda package: package["folder"])
def test_vendored_files_are_what_the_manifest_says(package):
    folder = VENDOR / package["folder"]
    assert package["version"] in package["folder"]
    assert {path.name for path in folder.iterdir()} == set(package["sha384"])
    assert "LICENSE" in package["sha384"]
    for name, expected in package["sha384"].items():
        digest = hashlib.sha384((folder / name).read_bytes()).digest()
        assert base64.b64encode(digest).decode() == expected, name


def test_nothing_is_shipped_beside_the_manifest():
    folders = {path.name for path in VENDOR.iterdir() if path.is_dir()}
    assert folders == {package["folder"] for package in PACKAGES}
