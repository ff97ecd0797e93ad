"""Pages in Markdown that people write, with a part that comes out of reports."""

from pathlib import Path

from ffmem.errors import InputError
from ffmem.store.files import atomic_write

BEGIN, END = "<!-- tables -->", "<!-- end of tables -->"
"""What stands in a page around the tables that come out of reports."""


def put_into(page: Path, text: str) -> None:
    """Put text into a page, in the place of all that stands between the marks `BEGIN` and `END`; the rest stays as it is.

    Raises:
        InputError: there is no such page, or it does not have each mark once, in this order.
    """
    try:
        before = page.read_text("utf-8")
    except (OSError, UnicodeDecodeError) as error:
        raise InputError(
            f"{page} cannot be read: {error}", "Expected a page in Markdown", "Name one that is there"
        ) from error
    if before.count(BEGIN) != 1 or before.count(END) != 1 or before.index(BEGIN) > before.index(END):
        raise InputError(
            f"{page} has {before.count(BEGIN)} times {BEGIN} and {before.count(END)} times {END}",
            "Expected each once, one after the other: what stands between them is written anew",
            "Put both on lines of their own where the tables are to be",
        )
    head, _, rest = before.partition(BEGIN)
    tail = rest.partition(END)[2]
    atomic_write(page, f"{head}{BEGIN}\n\n{text.strip()}\n\n{END}{tail}".encode())
