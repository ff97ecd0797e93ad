"""Which topic a unit prefers beyond its tokens."""

import numpy as np
import pytest

from tests.names.rules.world import World


def test_a_topic_is_believed_if_more_than_the_tokens_speak_for_it(world: World) -> None:
    drawn = world.rng.random(len(world.tokens))
    in_music = np.where(world.topic == "music", drawn < 0.09, drawn < 0.001)
    names = world.names(in_music, *([world.tokens == "king"] * 3))
    assert names.topical.tolist() == [True, False, False, False]
    held_out = world.text.quarter[world.document] >= 2
    plain = (world.topic == "music")[held_out & in_music].mean() / (world.topic == "music")[held_out].mean()
    assert names.units.found[0].topics.lift[0] == pytest.approx(plain, rel=0.05)
