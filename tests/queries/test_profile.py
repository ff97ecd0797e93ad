"""A cell's triggers in a few numbers, by hand and against loops."""

from collections import Counter
from pathlib import Path

import numpy as np

from ffmem.queries.profile import N_PROMOTED, profile
from tests.fixtures.made_index import Document, Layer, make_index
from tests.queries.loops import every_cell

DOCUMENTS = [Document([["a", "b"], ["a", "c"]], "one"), Document([["c", "a"], ["a", "b"], ["b"]], "two")]
# a, a, a at the end of the second document's first sentence, a; one that never fires; lowest on b
TABLE = np.array(
    [[4, 0, 0], [0, -1, -2], [3, 0, 0], [0, 0, -1], [0, 0, 0], [2, 0, 1], [1, 0, 0], [0, 0, -3], [0, 0, -4]]
)
PROMOTED = [[1, 2], [0, 1], [2, 0]]  # a, b, c


def test_by_hand(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", DOCUMENTS, [Layer(TABLE, promoted=PROMOTED)], top=5)
    (found,) = profile(index, index["L0.0"])
    assert (found.sign, found.n_triggers, found.agrees, found.n_documents) == (1, 4, True, 2)
    assert (found.n_followed, found.n_followed_by_top, found.n_followed_by_promoted) == (3, 2, 3)  # b, c, b
    assert found.firing_tokens == (("a", 4),) and found.n_firing_tokens == 1
    assert profile(index, index["L0.1"]) == ()  # it has no trigger


def test_negative_coefficients_are_held_against_what_is_suppressed(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", DOCUMENTS, [Layer(TABLE, promoted=PROMOTED)], top=5, gated=True)
    positive, negative = profile(index, index["L0.2"])
    assert (positive.sign, positive.n_triggers, positive.agrees) == (1, 1, None)  # nothing follows it
    assert (negative.sign, negative.n_triggers, negative.n_followed, negative.agrees) == (-1, 4, 0, None)
    assert negative.firing_tokens == (("b", 3), ("c", 1))
    assert [one.sign for one in profile(index, index["L0.1"])] == [-1]
    assert [one.sign for one in profile(index, index.cell("L0.2", 0))] == []


def test_where_nothing_is_predicted_nothing_agrees(tmp_path: Path) -> None:
    index = make_index(tmp_path / "i", DOCUMENTS, [Layer(TABLE, promoted=PROMOTED)], top=5, causal=False)
    (found,) = profile(index, index["L0.0"])
    assert (found.agrees, found.n_followed, found.n_followed_by_top, found.n_followed_by_promoted) == (None, 0, 0, 0)
    assert (found.n_triggers, found.n_documents) == (4, 2)


def test_every_cell_against_a_loop(tmp_path: Path) -> None:
    dice = np.random.default_rng(0)
    words = [[str(word) for word in dice.integers(0, 9, n)] for n in dice.integers(1, 6, 40)]
    documents = [Document(words[i : i + 5], f"{i}") for i in range(0, 40, 5)]
    table = dice.integers(-9, 9, (sum(map(len, words)), 12))
    promoted = [dice.permutation(9)[:2].tolist() for _ in range(12)]
    index = make_index(tmp_path / "i", documents, [Layer(table, promoted=promoted)], top=12, gated=True)
    agreeing = 0
    for cell in every_cell(index):
        for found in profile(index, cell):
            own = [one for one in cell.triggers if one.sign == found.sign]
            said = [one.token for one in (cell.promoted if found.sign > 0 else cell.suppressed)][:N_PROMOTED]
            following = [one.tokens[one.position + 1] for one in own if one.position + 1 < len(one.tokens)]
            assert (found.n_triggers, found.n_followed) == (len(own), len(following))
            assert found.n_followed_by_top == following.count(said[0])
            assert found.n_followed_by_promoted == len([one for one in following if one in said])
            fired = Counter(one.tokens[one.position] for one in own)
            assert dict(found.firing_tokens).items() <= fired.items() and found.n_firing_tokens == len(fired)
            assert [n for _, n in found.firing_tokens] == sorted(fired.values(), reverse=True)[:5]
            assert found.n_documents == len({one.document.document_id for one in own})
            shares = np.array(list(fired.values())) / len(own)
            assert np.isclose(found.even_tokens, np.prod(shares**-shares)) and found.field is None
            agreeing += bool(found.agrees)
            assert found.agrees == (own[0].next_token == said[0] if own[0].next_token is not None else None)
    assert 0 < agreeing < 24


def test_documents_are_grouped_by_a_field_that_all_of_them_have(tmp_path: Path) -> None:
    one, two = (
        Document([["a"], ["b"], ["c"]], "one", {"topic": "sea", "label": 3}),
        Document([["a"]], "two", {"topic": "law"}),
    )
    index = make_index(tmp_path / "i", [one, two], [Layer([[4], [3], [2], [1]])], top=4)
    (found,) = profile(index, index["L0.0"])
    assert (found.field, found.groups, found.n_groups) == ("topic", (("sea", 3), ("law", 1)), 2)
    bare = make_index(tmp_path / "j", [one, Document([["a"]], "two")], [Layer([[4], [3], [2], [1]])], top=4)
    assert profile(bare, bare["L0.0"])[0].field is None
