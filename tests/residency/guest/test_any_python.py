from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

import backend.residency.guest

FILES = sorted(Path(backend.residency.guest.__file__).parent.glob("*.py"))


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)
def test_a_guest_needs_python_3_9_and_the_standard_library(path):
    tree = ast.parse(path.read_text(), feature_version=(3, 9))
    for node in tree.body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            names = (
                [node.module] if isinstance(node, ast.ImportFrom) else [a.name for a in node.names]
            )
            if isinstance(node, ast.ImportFrom) and node.level:
                continue
            assert all(str(name).partition(".")[0] in sys.stdlib_module_names for name in names)
    called = [
        n.func.id for n in ast.walk(tree) if isinstance(n, ast.Call) and hasattr(n.func, "id")
    ]
    assert not {"eval", "exec", "__import__"} & set(called)
    assert "pickle" not in path.read_text().replace("No pickle", "")
