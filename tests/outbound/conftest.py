from __future__ import annotations

import contextlib

import pytest

from tests.outbound.peers import PUBLIC, Wire, peer


@pytest.fixture
def wire():
    return Wire()


@pytest.fixture
def listen(wire):
    """Start a peer that a host name of the test leads to; returns it."""
    with contextlib.ExitStack() as stack:

        def made(script, host="site.example", address=PUBLIC):
            found = stack.enter_context(peer(script))
            wire.names[host] = [[address]]
            wire.peers[address] = found.port
            return found

        yield made
