"""A server in the place of a language model, and what asks it."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from ffmem.names.lm.client.address import parse_address
from ffmem.names.lm.client.cache import ReplyCache
from ffmem.names.lm.client.server import Server
from tests.fixtures.shared import MakeOnce
from tests.fixtures.stand_in import StandIn, stand_in
from tests.names.lm.planted import planted_index

__all__ = ["Connect", "connect", "stand_in"]
Connect = Callable[..., Server]


@pytest.fixture(scope="session")
def planted(make_once: MakeOnce) -> Path:
    """The folder of an index whose cells fire at words that we have chosen; whoever writes beside it takes a copy."""
    return make_once("planted/index", planted_index)


@pytest.fixture
def connect(tmp_path: Path) -> Iterator[Connect]:
    """Makes what asks a stand-in; all that one test makes share one cache."""
    cache = ReplyCache(tmp_path / "label_cache.sqlite")
    servers: list[Server] = []

    def make(stand_in: StandIn, **settings: Any) -> Server:
        settings = {"cache": cache, "first_wait_s": 0.001, "timeout_s": 5.0} | settings
        servers.append(Server(parse_address(stand_in.url), "model", **settings))
        return servers[-1]

    yield make
    for server in servers:
        server.close()
    cache.close()
