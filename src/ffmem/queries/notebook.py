"""Tables for notebooks."""

import html
from collections.abc import Iterable, Sequence


def table(caption: str, head: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """An HTML table; every text is escaped."""
    titles = "".join(f"<th>{html.escape(title)}</th>" for title in head)
    lines = "".join(f"<tr>{''.join(f'<td>{html.escape(one)}</td>' for one in row)}</tr>" for row in rows)
    return f"<p>{html.escape(caption)}</p><table><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table>"
