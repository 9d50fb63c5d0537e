from __future__ import annotations

import gzip

import pytest

UPLOT = "/static/vendor/uPlot-1.6.32/uPlot.iife.min.js"
GZIP = {"Accept-Encoding": "gzip, br"}


def test_a_script_is_compressed_for_whoever_takes_it_so(server):
    plain = server.client.get(UPLOT, buffered=True)
    assert "Content-Encoding" not in plain.headers
    for _ in range(2):  # the second time from what was kept
        small = server.client.get(UPLOT, headers=GZIP, buffered=True)
        assert small.headers["Content-Encoding"] == "gzip"
        assert small.content_length == len(small.data) < len(plain.data) / 2
        assert gzip.decompress(small.data) == plain.data
    assert "Accept-Encoding" in plain.headers["Vary"]
    assert "max-age=31536000" in small.headers["Cache-Control"]


def test_a_copy_that_is_still_good_is_not_sent_again(server):
    etag = server.client.get(UPLOT, headers=GZIP, buffered=True).headers["ETag"]
    again = server.client.get(UPLOT, headers=GZIP | {"If-None-Match": etag}, buffered=True)
    assert (again.status_code, again.data) == (304, b"")


@pytest.mark.parametrize(
    ("path", "headers"),
    [
        (UPLOT, {"Accept-Encoding": "gzip;q=0"}),
        (UPLOT, {"Accept-Encoding": "br"}),
        (UPLOT, GZIP | {"Range": "bytes=0-9"}),
        ("/static/img/mark.svg", GZIP),
        ("/performance", GZIP),
        ("/static/none.css", GZIP),
    ],
)
def test_the_rest_is_sent_as_it_is(server, path, headers):
    answer = server.client.get(path, headers=headers, buffered=True)
    assert "Content-Encoding" not in answer.headers
