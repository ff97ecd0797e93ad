"""How pieces of text look in a terminal."""

import shutil

from ffmem.cell import Name, PromotedToken


def one_line(text: str) -> str:
    """Line ends and control characters made visible, so that a text cannot disturb the terminal."""
    return "".join(" " if c in "\n\r\t" else c if c.isprintable() else f"\\x{ord(c):02x}" for c in text)


def tokens(tokens: tuple[PromotedToken, ...]) -> str:
    """Tokens in brackets, with their spaces."""
    return " ".join(f"⟨{one_line(token.token)}⟩" for token in tokens)


def called(name: Name | None) -> str:
    """What a cell is called, to stand at the end of its line; nothing if it has no name."""
    return "" if name is None else f"  = {one_line(str(name))}"


def width() -> int:
    """Columns of the terminal."""
    return shutil.get_terminal_size((110, 20)).columns


def duration(seconds: float) -> str:
    """Hours and minutes, minutes and seconds, or seconds."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes:02} min" if hours else f"{minutes} min {rest:02} s" if minutes else f"{rest} s"


def around(left: str, token: str, right: str, room: int) -> str:
    """A token with as much of its text as there is room for, the token itself always in sight."""
    keep = max(10, room - len(token) - min(len(right), room // 3))
    left = left if len(left) <= keep else "…" + left[-(keep - 1) :]
    rest = max(0, room - len(left) - len(token))
    right = right if len(right) <= rest else right[: max(0, rest - 1)] + "…"
    return f"{left}{token}{right}"
