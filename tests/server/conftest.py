"""An explorer over tiny indexes, asked without a network."""

from collections.abc import Callable, Iterator

import pytest

from ffmem import Index

pytest.importorskip("fastapi", reason="the explorer needs the extra explorer")

from starlette.testclient import TestClient

from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.opening import open_explorer

HTML = {"accept": "text/html"}


@pytest.fixture(scope="session")
def explorer_of(index_of: Callable[[str], Index]) -> Iterator[Callable[[str], Explorer]]:
    """The explorer of a tiny model of a family, with the model at hand, made once."""
    made: dict[str, Explorer] = {}

    def make(family: str) -> Explorer:
        if family not in made:
            made[family] = open_explorer(index_of(family).folder)
            made[family].model.wait()
        return made[family]

    yield make
    for one in made.values():
        one.model.close()


@pytest.fixture
def client_of(explorer_of: Callable[[str], Explorer]) -> Callable[[str], TestClient]:
    """A client of that explorer; errors of ours are answers, bugs are raised."""
    return lambda family: TestClient(make_app(explorer_of(family)), base_url="http://localhost:8765")


@pytest.fixture
def client(client_of: Callable[[str], TestClient]) -> TestClient:
    """A client of the explorer of a tiny GPT-2."""
    return client_of("gpt2")
