"""What follows where a unit fires."""

from dataclasses import replace

import numpy as np
import pytest

from ffmem.names.rules.firing import together
from ffmem.names.rules.value_side import Pairs, value_side
from tests.names.rules.texts import fired, made_text
from tests.names.rules.world import World


def test_promoted_tokens_are_told_where_they_follow_more_than_after_the_same_token_elsewhere(world: World) -> None:
    followed = np.isin(world.after(), ["yes", "yeah"])
    on_said = (world.tokens == "said") & (followed | (world.rng.random(len(followed)) < 0.3))
    just_said = (world.tokens == "said") & (world.rng.random(len(followed)) < 0.5)
    told, not_told = world.labels(on_said, just_said)
    assert told.text.endswith("→ yes, yeah")
    assert "→" not in not_told.text


def test_what_is_expected_is_what_follows_the_same_tokens_elsewhere() -> None:
    text = made_text(300)
    rng = np.random.default_rng(4)
    fires = (np.isin(text.token, [2, 3]) & (rng.random(len(text.token)) < 0.4))[None]
    where = together(*(fired(text, fires, half) for half in (0, 1)))
    where = replace(where, weight=np.ones(len(where)))
    promoted = np.array([[1, 8, *[-1] * 8]])
    found = value_side(Pairs(text), where, promoted, np.ones((text.n_documents, 20), dtype=np.float32))
    follows: dict[int, list[bool]] = {2: [], 3: []}
    here: list[tuple[int, bool]] = []
    for at in range(len(text.token) - 1):
        if text.competes[at] and text.sentence[at + 1] == text.sentence[at] and text.token[at] in follows:
            says = text.token[at + 1] in (1, 8)
            if fires[0, at]:
                here.append((int(text.token[at]), says))
            else:
                follows[int(text.token[at])].append(says)
    rate = {token: np.mean(says) for token, says in follows.items()}
    assert found.share[0] == pytest.approx(np.mean([says for _, says in here]))
    assert found.expected[0] == pytest.approx(np.mean([rate[token] for token, _ in here]))
    assert not found.holds[0]


def test_followers_are_counted_within_sentences() -> None:
    text = made_text(60)
    pairs = Pairs(text)
    for token in range(12):
        after = [
            int(text.token[at + 1])
            for at in range(len(text.token) - 1)
            if text.token[at] == token and text.competes[at] and text.within[at + 1]
        ]
        assert pairs.following(np.array([token])) == [len(after)]
        by = np.arange(-1, 12)
        assert pairs.followed_by(np.full(13, token), by).tolist() == [0, *(after.count(one) for one in range(12))]
