import pytest

from ffmem.names.rules.wording import legible, line


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        (" looked", "looked"), ("\n\n", "\\n\\n"), ("  ", "␣␣"), ("", "nothing"), ("\x1b[0m", "\\x1b[0m"),
        ("\u202egnp", "\\u202egnp"), ("a" * 40, "a" * 23 + "…"), ("слово", "слово"), ("\\xe2", "\\xe2"),
    ],
)  # fmt: skip
def test_pieces_of_text_can_be_read_and_do_no_harm(text: str, shown: str) -> None:
    assert legible(text) == shown


def test_a_name_keeps_its_share_where_room_is_short() -> None:
    assert line("fires on 'looked'", 0.41, ["like", "up", "at"]) == "fires on 'looked' · 41 % → like, up, at"
    assert (
        line("fires on 'looked'", 0.41, ["like" * 5, "up" * 9, "at"])
        == "fires on 'looked' · 41 % → likelikelikelikelike"
    )
    long = line("fires on " + "x" * 80, 1.0)
    assert long.endswith("x… · 100 %") and len(long) == 60
    assert line("fires on 'looked'", None) == "fires on 'looked'"
