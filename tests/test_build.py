from __future__ import annotations

import subprocess

import pytest

from backend import __version__
from backend.build import build_name


def git(folder, *arguments):
    who = ("-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false")
    done = subprocess.run(
        ["git", *who, *arguments], cwd=folder, check=True, capture_output=True, text=True
    )
    return done.stdout.strip()


@pytest.fixture
def checkout(tmp_path):
    folder = tmp_path / "checkout"
    folder.mkdir()
    git(folder, "init", "-q", "-b", "trunk")
    git(folder, "commit", "-q", "--allow-empty", "-m", "one")
    return folder


def expected(folder):
    return f"{__version__}-g{git(folder, 'rev-parse', 'HEAD')[:8]}"


def test_a_checkout_is_named_by_its_commit(checkout):
    first = build_name(checkout)
    assert first == expected(checkout)
    git(checkout, "commit", "-q", "--allow-empty", "-m", "two")
    assert build_name(checkout) == expected(checkout) != first


def test_packed_references_and_detached_heads_are_read(checkout):
    git(checkout, "pack-refs", "--all")
    assert build_name(checkout) == expected(checkout)
    git(checkout, "checkout", "-q", "--detach")
    assert build_name(checkout) == expected(checkout)


def test_a_linked_worktree_is_followed(checkout, tmp_path):
    linked = tmp_path / "linked"
    git(checkout, "worktree", "add", "-q", "-b", "side", str(linked))
    git(linked, "commit", "-q", "--allow-empty", "-m", "aside")
    assert build_name(linked) == expected(linked) != build_name(checkout)


def test_without_a_checkout_the_version_stands_alone(tmp_path):
    assert build_name(tmp_path) == __version__
