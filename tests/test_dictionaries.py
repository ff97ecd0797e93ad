"""How a dictionary is written on a command line."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import IndexOptions, InputError
from ffmem.dictionaries import Attachment, parse_attachments


def test_forms() -> None:
    assert Attachment.parse("l9=TC16k:a:b@c") == Attachment("L9", "tc16k", None, Path("a:b@c"))
    assert Attachment.parse("dec.L03=sae@resid-mid:/x") == Attachment("dec.L3", "sae", "resid-mid", Path("/x"))
    assert Attachment.parse("dec.L3=sae@resid-mid:/x").cells == "dec.L3.sae"


@pytest.mark.parametrize(
    ("text", "match"),
    [
        ("L9:folder", "Expected LAYER=NAME:FOLDER"),
        ("L9=e5:folder", "not written like an expert"),
        ("L9=a:folder", "a name of 2 to 31"),
        ("L9=tc@middle:folder", "reads 'middle'. Expected one of: resid-pre, resid-mid"),
    ],
)
def test_what_has_not_the_form_is_refused(text: str, match: str) -> None:
    with pytest.raises(InputError, match=match):
        Attachment.parse(text)


def test_a_name_is_given_once_at_a_layer() -> None:
    assert len(parse_attachments(["L1=aa:x", "L2=aa:x", "L1=bb:x"])) == 3
    with pytest.raises(InputError, match=r"gives the name L1\.aa to two"):
        parse_attachments(["L1=aa:x", "L01=AA:y"])


@given(st.permutations(["enc.L1=bb:/x", "dec.L0=aa:/x", "dec.L2=aa:/x", "dec.L2=bb:/y", "dec.L10=aa:/x"]))
def test_the_order_is_that_of_layers_and_names(told: list[str]) -> None:
    assert [one.cells for one in parse_attachments(told)] == [
        "enc.L1.bb", "dec.L0.aa", "dec.L2.aa", "dec.L2.bb", "dec.L10.aa",
    ]  # fmt: skip
    assert IndexOptions(dictionary=tuple(told)).dictionary[0] == "enc.L1=bb:/x"


def test_options_keep_whole_paths_and_come_back_from_a_manifest(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    options = IndexOptions(dictionary=("L9=tc16k:here",))
    assert options.dictionary == (f"L9=tc16k:{tmp_path}/here",)
    monkeypatch.setenv("HOME", "/home/someone")
    assert IndexOptions(dictionary=("L9=tc16k:~/it",)).dictionary == ("L9=tc16k:/home/someone/it",)
    assert IndexOptions(**options.to_json()) == options and "dictionary" not in IndexOptions().to_json()
