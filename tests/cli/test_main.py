from __future__ import annotations

import argparse

import pytest

from backend.cli.main import _parser, main


def test_missing_picture_is_an_error_with_advice(tmp_path, capsys):
    assert main(["generate", str(tmp_path / "none.png"), "-o", str(tmp_path / "m.glb")]) == 1
    assert "No such file" in capsys.readouterr().err


@pytest.mark.parametrize("name", ["model.fbx", "model"])
def test_unknown_output_type_lists_the_known_ones(tmp_path, figure_png, capsys, name):
    picture = tmp_path / "doll.png"
    picture.write_bytes(figure_png)
    assert main(["generate", str(picture), "-o", str(tmp_path / name)]) == 1
    assert ".glb" in capsys.readouterr().err


def test_output_in_a_missing_folder_is_refused_before_the_work(tmp_path, figure_png, capsys):
    picture = tmp_path / "doll.png"
    picture.write_bytes(figure_png)
    assert main(["generate", str(picture), "-o", str(tmp_path / "no" / "m.glb")]) == 1
    assert "folder does not exist" in capsys.readouterr().err


@pytest.mark.parametrize("pair", ["preset", "glaze=4", "seed=-1"])
def test_wrong_parameter_is_named(tmp_path, figure_png, capsys, pair):
    picture = tmp_path / "doll.png"
    picture.write_bytes(figure_png)
    output = tmp_path / "m.glb"
    assert main(["generate", str(picture), "-o", str(output), "-p", pair]) == 1
    assert pair.split("=")[0] in capsys.readouterr().err
    assert not output.exists()


def test_no_server_is_said_plainly(capsys):
    assert main(["status", "--server", "http://127.0.0.1:9"]) == 1
    shown = capsys.readouterr().err
    assert "does not answer" in shown
    assert "script/server" in shown


def test_version(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["--version"])
    assert ended.value.code == 0
    assert "Meshkiln" in capsys.readouterr().out


def _actions(parser):
    for action in parser._actions:
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
        else:
            yield action


def test_choices_are_told_in_the_words_that_are_taken():
    choices = [one for action in _actions(_parser()) for one in action.choices or ()]
    assert {"auto", "high", "-x", "mirror"} <= set(choices)
    assert {type(one) for one in choices} == {str}
