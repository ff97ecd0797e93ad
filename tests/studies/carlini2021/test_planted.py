"""The file of what was planted, as the recipe writes it and as it must not be."""

import json
import random
from pathlib import Path

import pytest

from ffmem import InputError
from ffmem.studies.carlini2021.planted import read_planted
from tests.test_reference_model import piece


def rows(n: int) -> list[dict[str, str]]:
    rng = random.Random(0)
    words = ["".join(rng.choice("abcdefghij") for _ in range(5)) for _ in range(90)]
    return [{"id": f"document {number}", "text": " ".join(rng.choices(words, k=70))} for number in range(n)]


def test_counts_in_the_corpus_are_those_of_the_truth(tmp_path: Path) -> None:
    recipe = piece("plant")
    recipe.FREQUENT = (2, 10_000)
    corpus, truth = recipe.plant(rows(80), seed=3)
    (tmp_path / "planted.json").write_text(json.dumps(truth))
    planted = read_planted(str(tmp_path / "planted.json"))
    texts = [row["text"] for row in corpus]
    assert len(planted.canaries) == 48 + 7 * 8 and len({one.text for one in planted.canaries}) == 104
    for one in (*planted.canaries, *planted.documents):
        assert texts.count(one.text) == one.count
    assert [one.count for one in planted.documents] == [count for count in (1, 2, 4, 8, 16, 32, 64) for _ in range(4)]
    assert planted.template.n_fillings == 2**24
    assert planted.template.filled(planted.filling(planted.canaries[7])) == planted.canaries[7].text
    assert len(corpus) == 80 + 8 * 127 + 4 * (127 - 7) and len({row["id"] for row in corpus}) == len(corpus)
    again, _ = recipe.plant(rows(80), seed=3)
    other, _ = recipe.plant(rows(80), seed=4)
    assert again == corpus != other


def test_nothing_that_is_planted_is_held_out_of_the_training() -> None:
    recipe, train = piece("plant"), piece("train")
    recipe.FREQUENT = (2, 10_000)
    corpus, truth = recipe.plant(rows(60), seed=1)
    held_out = {row["text"] for row in corpus if train.is_held_out(row["text"], train.IndexOptions())}
    assert held_out and not held_out & {one["text"] for one in (*truth["canaries"], *truth["documents"])}


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ("{}", "is no file of what was planted"),
        ("[1", "is no file of what was planted"),
        (
            json.dumps(
                {
                    "template": "a {} b", "words": ["x", "y"], "documents": [],
                    "canaries": [{"words": ["x"], "text": "a y b", "count": 1}],
                }
            ),
            "is no filling of the template",
        ),
    ],
)  # fmt: skip
def test_another_file_is_refused(content: str, why: str, tmp_path: Path) -> None:
    (tmp_path / "planted.json").write_text(content)
    with pytest.raises(InputError, match=why):
        read_planted(str(tmp_path / "planted.json"))
    with pytest.raises(InputError, match="is no file of what was planted"):
        read_planted(str(tmp_path / "nowhere.json"))
