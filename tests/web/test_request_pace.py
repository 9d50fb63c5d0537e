from __future__ import annotations

from backend.web.request_pace import PATIENCE_S, RequestPace


def arrive(pace: RequestPace, seconds: int, bytes_per_s: float, every_s: float = 1.0) -> None:
    """Let bytes come at a steady rate."""
    for _ in range(int(seconds / every_s)):
        pace.wait(every_s)
        pace.receive(int(bytes_per_s * every_s))


def test_a_head_has_15_s_however_many_bytes_come():
    pace = RequestPace()
    arrive(pace, 14, bytes_per_s=8000)
    assert pace.left_s == 1
    arrive(pace, 1, bytes_per_s=8000)
    assert pace.left_s == 0


def test_a_body_at_the_least_rate_is_never_cut():
    pace = RequestPace()
    pace.begin_body()
    arrive(pace, 3600, bytes_per_s=1000)
    assert pace.left_s == PATIENCE_S


def test_a_body_below_the_least_rate_is_cut_in_the_end():
    pace = RequestPace()
    pace.begin_body()
    arrive(pace, 29, bytes_per_s=500)
    assert 0 < pace.left_s < 1
    pace.wait(1)
    assert pace.left_s == 0


def test_a_fast_start_does_not_pay_for_silence():
    pace = RequestPace()
    pace.begin_body()
    pace.receive(100_000_000)
    pace.wait(PATIENCE_S)
    assert pace.left_s == 0


def test_the_next_request_of_a_connection_starts_anew():
    pace = RequestPace()
    pace.begin_body()
    pace.wait(PATIENCE_S)
    pace.begin_head()
    assert pace.left_s == PATIENCE_S
    pace.receive(1000)
    pace.wait(1)
    assert pace.left_s == PATIENCE_S - 1
