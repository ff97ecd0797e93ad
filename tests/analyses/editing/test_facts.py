"""Facts as files have them."""

import json
from importlib.resources import files
from pathlib import Path

import pytest

from ffmem import InputError
from ffmem.analyses.editing.facts import Fact, fact_row, read_facts

FACT = Fact("Lyon is a city in the country of", "Italy", "Lyon", "France", ("Lyon is in",), ("Nice is in",), "country")


def test_a_fact_goes_to_a_file_and_comes_back(tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text(json.dumps([fact_row(FACT, 0)]))
    assert read_facts(path) == (FACT,)
    row = json.loads(path.read_text())[0]
    assert row["requested_rewrite"]["prompt"] == "{} is a city in the country of"


def test_the_facts_that_come_with_ffmem_are_what_their_script_writes_and_hang_together() -> None:
    import runpy

    path = files("ffmem") / "data" / "facts.json"
    made = runpy.run_path(str(Path(__file__).parents[3] / "examples" / "facts" / "make.py"))["facts"]()
    assert json.loads(path.read_text()) == made
    facts = read_facts(str(path))
    assert len(facts) == 65
    for fact in facts:
        assert fact.subject in fact.prompt and fact.old != fact.new
        assert (len(fact.paraphrases), len(fact.neighbours)) == (2, 5)
        assert all(fact.subject in one for one in fact.paraphrases)
        assert not any(fact.subject in one for one in fact.neighbours)
    assert len({fact.prompt for fact in facts}) == 65


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ("", "is no file of facts"),
        ("{}", "it is no list of facts"),
        ("[]", "it is no list of facts"),
        ('[{"prompt": "x"}]', "requested_rewrite"),
        ('[{"requested_rewrite": {"prompt": "no place", "subject": "x", "target_true": {"str": "a"}, '
         '"target_new": {"str": "b"}}}]', "has no {}"),
        ('[{"requested_rewrite": {"prompt": "{} is", "subject": "x", "target_true": {"str": "a"}, '
         '"target_new": {"str": "b"}}, "paraphrase_prompts": "x"}]', "are no lists of texts"),
    ],
)  # fmt: skip
def test_other_files_are_refused(content: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "facts.json"
    path.write_text(content)
    with pytest.raises(InputError, match=told):
        read_facts(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="cannot be read: No such file"):
        read_facts(tmp_path / "none.json")


@pytest.mark.parametrize(
    ("change", "told"),
    [
        ({"subject": "Rome"}, "the subject 'Rome' is not in the prompt"),
        ({"new": " France "}, "is the old one"),
        ({"new": " "}, "Expected some words of each"),
        ({"prompt": ""}, "Expected some words of each"),
    ],
)
def test_what_is_no_fact_is_refused(change: dict[str, str], told: str) -> None:
    with pytest.raises(InputError, match=told):
        Fact(**({"prompt": FACT.prompt, "new": "Italy", "subject": "Lyon", "old": "France"} | change))  # type: ignore[arg-type]
