from __future__ import annotations

import psutil

from backend.residency.host_memory import free_host_bytes, host_limit_bytes

GB = 1024**3


def write(folder, **files):
    for name, text in files.items():
        path = folder / name.replace("__", "/")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)


def test_container_limit_counts_though_the_machine_has_more(tmp_path):
    write(tmp_path, **{"memory.max": f"{GB}\n", "memory.current": f"{GB // 4}\n"})
    assert host_limit_bytes(tmp_path) == GB
    assert free_host_bytes(tmp_path) == GB - GB // 4


def test_old_control_groups_are_read_too(tmp_path):
    write(
        tmp_path,
        memory__limit_in_bytes="ignored",
        **{"memory/memory.limit_in_bytes": str(GB), "memory/memory.usage_in_bytes": str(2 * GB)},
    )
    assert host_limit_bytes(tmp_path) == GB
    assert free_host_bytes(tmp_path) == 0


def test_no_limit_means_the_machine(tmp_path):
    write(tmp_path, **{"memory.max": "max\n", "memory.current": "1\n"})
    assert host_limit_bytes(tmp_path) == psutil.virtual_memory().total
