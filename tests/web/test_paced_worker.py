from __future__ import annotations

import socket
import time
from concurrent.futures import Future
from types import SimpleNamespace

import pytest

from backend.errors import RequestTimeout
from backend.web.paced_worker import PacedUnreader, PacedWorker
from backend.web.request_pace import PATIENCE_S


@pytest.fixture
def pair():
    ours, theirs = socket.socketpair()
    with ours, theirs:
        yield ours, theirs


class Request:
    must_close = False

    def force_close(self):
        self.must_close = True


def nearly_out_of_patience(unreader):
    unreader.pace.wait(PATIENCE_S - 0.05)


def test_a_client_that_has_used_up_its_time_is_cut_off(pair):
    unreader, request = PacedUnreader(pair[0]), Request()
    unreader.begin_body(request)
    nearly_out_of_patience(unreader)
    with pytest.raises(RequestTimeout):
        unreader.read()
    assert request.must_close


def test_what_has_come_is_read_and_buys_time(pair):
    unreader = PacedUnreader(pair[0])
    unreader.begin_body(Request())
    nearly_out_of_patience(unreader)
    pair[1].sendall(b"x" * 2000)
    assert unreader.read(2000) == b"x" * 2000
    assert unreader.pace.left_s == pytest.approx(2.05, abs=0.05)


def test_only_waiting_for_the_client_counts(pair):
    unreader = PacedUnreader(pair[0])
    pair[1].sendall(b"GET / HTTP/1.1")
    time.sleep(0.2)
    unreader.read()
    assert unreader.pace.left_s > PATIENCE_S - 0.1


def test_a_shorter_limit_of_gunicorn_holds_and_costs_nobody_the_connection(pair):
    unreader, request = PacedUnreader(pair[0]), Request()
    unreader.begin_body(request)
    pair[0].settimeout(0.05)
    with pytest.raises(TimeoutError):
        unreader.read()
    assert not request.must_close


def test_a_connection_that_its_reader_has_closed_is_counted_once():
    """Counted twice, the server would stop without waiting for uploads that are under way."""
    worker = PacedWorker.__new__(PacedWorker)
    worker.nr_conns = 5
    closed = socket.socket()
    closed.close()
    done: Future[bool] = Future()
    done.set_result(False)
    worker.finish_request(SimpleNamespace(sock=closed), done)
    assert worker.nr_conns == 4
