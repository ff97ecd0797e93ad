import pytest

from ffmem.analyses.patterns.lexical import SHAPES
from ffmem.names.rules.shapes import PLURALS, punctuation_of, script_of


@pytest.mark.parametrize(
    ("token", "script"),
    [(" слово", "Cyrillic"), ("漢字", "Chinese characters"), ("12α", "Greek"), ("かな", "Hiragana"), ("##ing", "Latin"),
     ("12 ,", ""), ("", "")],
)  # fmt: skip
def test_the_script_is_that_of_the_first_letter(token: str, script: str) -> None:
    assert script_of(token) == script


@pytest.mark.parametrize(
    ("token", "kind"),
    [(" )", "a closing bracket"), ("([", "an opening bracket"), ("…", ""), ("...", "a full stop"), ("。", "a full stop"),
     ("?!", ""), ("«", "an opening quote"), ("—-", "a dash"), ("+", "a mathematical sign"), ("€", "a currency sign"),
     ("a,", ""), ("a", ""), (" ", "")],
)  # fmt: skip
def test_punctuation_has_a_name_if_it_is_of_one_kind(token: str, kind: str) -> None:
    assert punctuation_of(token) == kind


def test_every_shape_has_a_plural() -> None:
    assert set(PLURALS) == set(SHAPES)
