"""Files of tokens: what is read, what is refused, and that no message shows a token."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ffmem import InputError
from ffmem.server.sharing.tokens import Tokens, read_tokens
from ffmem.server.sharing.visitors import Visitor

ANN, BOB = "0123456789abcdefghij", "zyxwvutsrqponmlkjihg"


def test_each_line_lets_one_in() -> None:
    found = Tokens(f"# who\n\nwrite ann {ANN}\n  read\tbob-2  {BOB}  \n", "a test")
    assert found.find(ANN) == Visitor("ann", "write") and found.find(BOB) == Visitor("bob-2", "read")
    assert set(found.visitors) == {Visitor("ann", "write"), Visitor("bob-2", "read")}


@given(st.text(max_size=40))
def test_no_other_text_does(text: str) -> None:
    assert Tokens(f"write ann {ANN}", "a test").find(text) == (Visitor("ann", "write") if text == ANN else None)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("", "a test has no token"),
        ("# only a comment", "a test has no token"),
        (ANN, "a test, line 1 is not understood"),
        (f"admin ann {ANN}", "a test, line 1 is not understood"),
        (f"\nwrite Ann {ANN}", "a test, line 2 is not understood"),
        (f"write ann {ANN} {BOB}", "a test, line 1 is not understood"),
        ("write ann short", "a test, line 1 has a token of 5 characters"),
        (f"write ann {'a' * 501}", "a test, line 1 has a token of 501 characters"),
        (f"write ann {ANN}\nread bob {ANN}", "a test, line 2 has the token of an earlier line"),
    ],
)
def test_what_is_none_is_told_without_the_token(text: str, why: str) -> None:
    with pytest.raises(InputError) as error:
        Tokens(text, "a test")
    assert error.value.got == why and error.value.expected and error.value.mend
    assert ANN not in str(error.value) and "short" not in str(error.value).replace("too short", "")


def test_a_file_is_for_its_owner(tmp_path: Path) -> None:
    file = tmp_path / "tokens.txt"
    file.write_text(f"read ann {ANN}")
    file.chmod(0o600)
    assert read_tokens(file).find(ANN) == Visitor("ann", "read")
    file.chmod(0o644)
    with pytest.raises(InputError) as error:
        read_tokens(file)
    assert error.value.mend == f"chmod 600 {file}" and ANN not in str(error.value)
    file.write_bytes(b"\xff\xfe")
    file.chmod(0o600)
    for path, why in ((file, "not UTF-8"), (tmp_path / "none", "No such file")):
        with pytest.raises(InputError, match=why):
            read_tokens(path)
