"""The text of planted rules, made once."""

import numpy as np
import pytest

from tests.names.rules.world import World


@pytest.fixture(scope="session")
def made_world(tmp_path_factory: pytest.TempPathFactory) -> World:
    return World(tmp_path_factory.mktemp("world") / "index")


@pytest.fixture
def world(made_world: World) -> World:
    """With draws that do not depend on which tests ran before."""
    made_world.rng = np.random.default_rng(8)
    return made_world
