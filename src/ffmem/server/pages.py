"""What the templates of the explorer need to show data."""

import math
from collections.abc import Mapping
from functools import lru_cache
from itertools import pairwise
from typing import Any

from jinja2 import Environment

from ffmem.cell import Name, Trigger
from ffmem.json_values import json_text
from ffmem.markup import Markup, each, environment, escape
from ffmem.queries.question import TokenChoice
from ffmem.queries.search import SentenceHit, Spans
from ffmem.render.cells import stratum
from ffmem.server.links import Links
from ffmem.server.on_page import without_commands
from ffmem.store.label_rows import one_line
from ffmem.version import __version__

_BEFORE, _AFTER = 400, 160
"""Characters of a sentence that are shown around the firing token."""
_AROUND = 300
"""The same in a list."""
VISIBLE = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "↵"}
"""How white space in a token is shown."""


def render(name: str, links: Links, **context: Any) -> str:
    """A page from its template."""
    everywhere = {"links": links, "version": __version__, "visitor": None, "is_bare": False}
    return _environment().get_template(name).render(everywhere | context)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = environment("ffmem.server", "ffmem.studies")
    made.filters |= {
        "token": token,
        "number": number,
        "count": lambda value: f"{value:,}",
        "counted": counted,
        "without_commands": without_commands,
        "percent": percent,
        "plus": plus,
        "points": points,
        "shift": shift,
        "trigger": trigger_text,
        "matched": lambda one, spans: trigger_text(one, _AROUND, _AFTER, spans),
        "times": times,
        "glimpse": lambda one: trigger_text(one, 100, 40),
        "stratum": lambda one: stratum(one).replace("-", "\u2212"),
        "spans": marked_spans,
        "share": lambda value: "" if value is None or math.isnan(value) else percent(value),
        "values_of": lambda shares: {name: one.value for name, one in shares.items()},
        "instead": instead,
        "called": called,
        "line": line,
        "evidence": evidence,
    }
    return made


@lru_cache(maxsize=20_000)
def token(text: str) -> Markup:
    """A token with its white space made visible."""
    shown = Markup().join(
        Markup("<i>{}</i>").format(VISIBLE[one]) if one in VISIBLE else escape(printable(one)) for one in text
    )
    return Markup('<code class="token">{}</code>').format(shown or Markup("<i>(empty)</i>"))


def printable(character: str) -> str:
    """A character as it can be shown."""
    return character if character.isprintable() else f"\\x{ord(character):02x}"


def called(name: Name | None) -> Markup:
    """What a cell is called, to stand beside it, with where that comes from; nothing if it has no name."""
    if name is None:
        return Markup()
    sign = "negative: " if name.sign < 0 else ""
    return Markup(' <span class="called">{}<bdi>{}</bdi> <small>{}</small></span>').format(sign, name.text, name.mark)


def line(text: str, longest: int = 200) -> str:
    """A text from elsewhere on one line, without what could disturb the page around it."""
    return one_line(text, longest)


def evidence(values: Mapping[str, Any]) -> str:
    """What a label rests on, in short."""
    parts = (f"{name}: {value if isinstance(value, str) else json_text(value)}" for name, value in values.items())
    return one_line("; ".join(parts), 1000)


def number(value: float | None) -> str:
    """With four digits; nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}".replace("-", "\u2212") if math.isfinite(value) else str(value)


def counted(n: int, one: str, several: str = "") -> str:
    """A count with its noun: "1 cell", "1,234 cells"; every page says counts so.

    Args:
        n: how many.
        one: the noun, for one of them.
        several: for any other number; by default with an s.
    """
    return f"{n:,} {one if n == 1 else several or f'{one}s'}"


def percent(value: float | None) -> str:
    """A share, with as many digits as say something."""
    if value is None:
        return ""
    return f"{100 * value:.3g} %" if value else "0 %"


def plus(value: float | None) -> str:
    """A number with its sign, 0 too."""
    if value is None:
        return ""
    return number(value) if value < 0 or not math.isfinite(value) else f"+{number(value)}"


def points(before: float, after: float) -> str:
    """From one share to another, in percentage points."""
    told = f"{100 * (after - before):+.3g}".replace("-", "\u2212")
    return f"{told} points"


def shift(difference: float, named: bool = True) -> str:
    """A difference of two shares, in percentage points; with two places, since differences stand below each other."""
    told = f"{100 * difference:+.2f}".replace("-", "\u2212")
    told = "0.00" if float(f"{100 * difference:.2f}") == 0 else told
    return f"{told} points" if named else told


def marked_spans(hit: SentenceHit) -> Markup:
    """The text of a sentence with the parts that were looked for marked."""
    ends = [0, *(end for _, end in hit.spans)]
    parts = ((hit.text[last:start], hit.text[start:end]) for last, (start, end) in zip(ends, hit.spans, strict=False))
    return each("{}<mark>{}</mark>", parts) + hit.text[ends[-1] : ends[-1] + 2000]


def instead(choice: TokenChoice, other: str, key: str, text: str) -> str:
    """A question with another token in the place of the one that was typed."""
    typed = [f'{key}:"{choice.asked}"', f"{key}:{choice.asked}"]
    for one in typed:
        if one in text:
            return text.replace(one, f'{key}:"{other}"', 1)
    return f'{text} {key}:"{other}"'


def times(value: float | None) -> str:
    """How many times as often."""
    if value is None:
        return ""
    return f"{value:,.0f} times" if value >= 10 else f"{value:.1f} times"


def trigger_text(trigger: Trigger, n_before: int = _BEFORE, n_after: int = _AFTER, spans: Spans = ()) -> Markup:
    """A trigger to read: the prefix, its firing token marked, and faintly what follows; and what was searched for in it.

    Args:
        trigger: what is shown.
        n_before: characters before the firing token.
        n_after: and after it.
        spans: parts of the whole text that were searched for.
    """
    before, firing, after = trigger.marked("", "")
    first, end = max(0, len(before) - n_before), len(before) + len(firing)
    marked = {at for start, stop in spans for at in range(start, stop)}

    def piece(start: int, stop: int) -> Markup:
        """Some characters of the text, those that were searched for marked."""
        ends = [at for at in range(start + 1, stop) if (at in marked) != (at - 1 in marked)]
        cuts = [start, *ends, stop]
        return Markup().join(
            Markup('<mark class="match">{}</mark>' if a in marked else "{}").format(trigger.text[a:b])
            for a, b in pairwise(cuts)
            if a < b
        )

    kind = ' class="match-too"' if marked & set(range(len(before), end)) else ""
    return Markup('<span class="prefix">{}{}<mark{}>{}</mark></span><span class="after">{}{}</span>').format(
        "…" if first else "",
        piece(first, len(before)),
        Markup(kind),
        firing,
        piece(end, min(end + n_after, len(trigger.text))),
        "…" if len(after) > n_after else "",
    )
