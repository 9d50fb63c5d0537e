from __future__ import annotations

import pytest
from sqlalchemy import delete
from sqlalchemy.exc import OperationalError

from backend.jobs.measurements import Measurements
from backend.profiling.run_table import RUNS
from backend.web.api.stored_runs import TALLY
from tests.web.test_report import STAGE, metrics, record


def test_the_counts_go_on_where_the_last_process_was(server, make_server):
    """A restarted server reads no run twice, not even after the history has forgotten some."""
    record(server, 0)
    record(server, 1, shape_s=4)
    assert STAGE.format("sum", "", 6) in metrics(server)
    with server.service.store.writer.begin() as connection:
        connection.execute(delete(RUNS))
    record(server, 2, shape_s=1)
    again = make_server(data_dir=server.service.settings.data_dir)
    assert STAGE.format("sum", "", 7) in metrics(again)
    assert STAGE.format("count", "", 3) in metrics(again)


@pytest.mark.parametrize("spoilt", [{}, {"tally": {"bounds": [1]}, "floor": "0"}, {"tally": 3}])
def test_counts_that_cannot_be_read_are_made_anew(server, make_server, spoilt):
    record(server, 0)
    Measurements(server.service.store.engine, server.service.clock).keep(TALLY, spoilt, 1)
    assert STAGE.format("sum", "", 2) in metrics(server)


def test_what_came_within_a_minute_of_the_last_note_is_read_again(server, make_server):
    """The counts are kept once a minute, so a restart finds some runs that they do not know."""
    record(server, 0)
    assert STAGE.format("count", "", 1) in metrics(server)
    record(server, 1)
    assert STAGE.format("count", "", 2) in metrics(server)
    again = make_server(data_dir=server.service.settings.data_dir)
    assert STAGE.format("count", "", 2) in metrics(again)


def test_counts_that_cannot_be_kept_are_told_all_the_same(server, monkeypatch):
    def refuse(*_):
        raise OperationalError("insert", {}, Exception("the disk is full"))

    monkeypatch.setattr(Measurements, "keep", refuse)
    record(server, 0)
    assert STAGE.format("count", "", 1) in metrics(server)
