from __future__ import annotations

import csv
import io
import json

import pytest

from backend.profiling.exports.csv_report import COLUMNS, csv_text
from tests.profiling.export_runs import stage, summary


def rows(*runs):
    text = csv_text(run.to_document() for run in runs)
    return list(csv.DictReader(io.StringIO(text, newline="")))


def test_a_row_per_stage_and_run():
    first = summary("a", stage("shape", 2.5, share_pct=71.4), stage("export", 1.0), queue_s=0.25)
    found = rows(first, summary("b", stage("shape", 3.0, kind="gpu", gpu_s=2.0, peak_mb=512.5)))
    assert [(row["run"], row["stage"], row["elapsed_s"]) for row in found] == [
        ("a", "shape", "2.5"), ("a", "export", "1.0"), ("b", "shape", "3.0")
    ]  # fmt: skip
    assert found[0]["queue_s"] == "0.25"
    assert found[0]["share_pct"] == "71.4"
    assert (found[2]["kind"], found[2]["gpu_s"], found[2]["peak_mb"]) == ("gpu", "2.0", "512.5")
    assert found[0]["started_at"] == "2026-03-01T12:00:00.000Z"


def test_unknown_is_an_empty_field_and_zero_is_zero():
    (row,) = rows(summary("a", stage("shape", 0.0)))
    assert (row["gpu_s"], row["device"], row["queue_s"], row["settings"]) == ("", "", "", "")
    assert row["elapsed_s"] == "0.0"


def test_a_run_without_stages_is_not_lost():
    (row,) = rows(summary("a"))
    assert (row["run"], row["stage"], row["elapsed_s"]) == ("a", "", "")


def test_quotes_commas_and_line_feeds_survive():
    name = 'a "b", c\nd'
    (row,) = rows(summary("a", stage(name, 1.0), settings={"b": 'x,"y"', "a": 1}))
    assert row["stage"] == name
    assert json.loads(row["settings"]) == {"a": 1, "b": 'x,"y"'}


@pytest.mark.parametrize("text", ["=1+1", "+1", "-1", "@x", "\t=1"])
def test_no_spreadsheet_computes_a_name(text):
    (row,) = rows(summary("a", stage(text, 1.0)))
    assert row["stage"] == f"'{text}"


def test_no_run_leaves_the_header():
    assert csv_text([]) == ",".join(COLUMNS) + "\r\n"
