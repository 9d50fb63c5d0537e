from __future__ import annotations

import subprocess
import sys

import pytest

from backend.gpu import allocator


@pytest.mark.parametrize(
    ("env", "added"),
    [
        ({}, {"PYTORCH_ALLOC_CONF": "expandable_segments:True"}),
        ({"PYTORCH_ALLOC_CONF": "x:1"}, {}),
        ({"PYTORCH_CUDA_ALLOC_CONF": "x:1"}, {}),
    ],
)
def test_a_value_of_the_users_own_stays(env, added, monkeypatch):
    monkeypatch.setattr(allocator, "_supported", lambda: True)
    assert allocator.allocator_environment(env) == added


def test_nothing_is_set_where_it_is_not_supported(monkeypatch):
    monkeypatch.setattr(allocator, "_supported", lambda: False)
    assert allocator.allocator_environment({}) == {}


def test_the_report_names_who_set_it():
    report = allocator.allocator_settings
    assert report({}).origin == "default"
    assert report({"PYTORCH_ALLOC_CONF": "expandable_segments:True"}).origin == "meshkiln"
    assert report({"PYTORCH_CUDA_ALLOC_CONF": "x:1"}) == allocator.AllocatorSettings("x:1", "user")


def test_no_module_of_the_package_imports_torch_by_itself():
    code = (
        "import pkgutil, importlib, sys, backend.gpu as g\n"
        "for m in pkgutil.iter_modules(g.__path__):\n"
        "    if m.name != 'work_counter':\n"  # a mode of torch; flops imports it when it counts
        "        importlib.import_module(f'backend.gpu.{m.name}')\n"
        "import backend.gpu_optimizer\n"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
