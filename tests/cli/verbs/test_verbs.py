"""A verb is there by being there: nothing but its own module has to know of it."""

import re
from pathlib import Path

import pytest
from cyclopts import App

from ffmem.cli.verbs import Verb, verbs
from tests.fixtures.programs import ffmem

ROOT = Path(__file__).parents[3]
MODULE = '''"""Verbs of a test."""

raise_if_imported = 1


def count_letters(
    text: str,
    /,
) -> int:
    """Count the letters of a text.

    A second paragraph.

    Parameters
    ----------
    text
        Words.
    """
    return len(text)


def map_() -> int:
    """A word that Python has for itself."""
    return _helper()


def _helper() -> int:
    """No verb."""
    return 7
'''


def test_each_public_function_of_a_module_is_a_verb(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "made_verbs.py").write_text(MODULE)
    (tmp_path / "made_group.py").write_text(
        '"""Verbs below a verb."""\n\ngroup = App(help=__doc__)\n\n\n@group.command\ndef below() -> None:\n    """Not one."""\n'
    )
    found = list(verbs(tmp_path, "made"))
    assert found == [
        Verb("group", "made.made_group:group", "Verbs below a verb."),
        Verb("count-letters", "made.made_verbs:count_letters", "Count the letters of a text.\n\nA second paragraph."),
        Verb("map", "made.made_verbs:map_", "A word that Python has for itself."),
    ]
    monkeypatch.syspath_prepend(tmp_path)
    app = App(result_action="return_value")
    for verb in found[1:]:
        app.command(verb.path.removeprefix("made."), name=verb.name, help=verb.help)
    assert app(["count-letters", "letters"]) == 7 and app(["map"]) == 7


def test_every_verb_is_in_the_reference_and_has_a_test() -> None:
    text = (ROOT / "docs/reference/cli.md").read_text()
    known = list(verbs())
    assert len(known) > 20 and len({verb.name for verb in known}) == len(known)
    for verb in known:
        (section,) = re.findall(rf"^## ffmem {verb.name}\n(.*?)(?=^## |\Z)", text, re.MULTILINE | re.DOTALL)
        assert verb.help in section, verb.name
    tested = "".join(path.read_text() for path in (ROOT / "tests").rglob("test_*.py"))
    assert not [verb.name for verb in known if f'"{verb.name}"' not in tested]


@pytest.mark.parametrize("verb", [verb.name for verb in verbs()])
def test_every_verb_has_help(verb: str) -> None:
    shown, _ = ffmem(verb, "--help")
    assert verb in shown
