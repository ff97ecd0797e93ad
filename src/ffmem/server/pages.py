"""What the templates of the explorer need to show data."""

import math
from functools import lru_cache
from typing import Any

from jinja2 import Environment

from ffmem.cell import Trigger
from ffmem.markup import Markup, each, environment, escape
from ffmem.queries.question import TokenChoice
from ffmem.queries.search import SentenceHit
from ffmem.server.links import Links
from ffmem.version import __version__

_BEFORE, _AFTER = 400, 160
"""Characters of a sentence that are shown around the firing token."""
_VISIBLE = {" ": "·", "\n": "⏎", "\t": "⇥", "\r": "↵"}


def render(name: str, links: Links, **context: Any) -> str:
    """A page from its template."""
    return _environment().get_template(name).render(links=links, version=__version__, **context)


@lru_cache(maxsize=1)
def _environment() -> Environment:
    made = environment("ffmem.server", "ffmem.studies")
    made.filters |= {
        "token": token,
        "number": number,
        "count": lambda value: f"{value:,}",
        "percent": percent,
        "trigger": trigger_text,
        "spans": marked_spans,
        "share": lambda value: "" if value is None or math.isnan(value) else percent(value),
        "values_of": lambda shares: {name: one.value for name, one in shares.items()},
        "instead": instead,
    }
    return made


def token(text: str) -> Markup:
    """A token with its white space made visible."""
    shown = Markup().join(
        Markup("<i>{}</i>").format(_VISIBLE[one]) if one in _VISIBLE else escape(_printable(one)) for one in text
    )
    return Markup('<code class="token">{}</code>').format(shown or Markup("<i>(empty)</i>"))


def _printable(character: str) -> str:
    return character if character.isprintable() else f"\\x{ord(character):02x}"


def number(value: float | None) -> str:
    """With four digits; nothing for None."""
    if value is None:
        return ""
    return f"{value:.4g}".replace("-", "\u2212") if math.isfinite(value) else str(value)


def percent(value: float | None) -> str:
    """A share, with as many digits as say something."""
    if value is None:
        return ""
    return f"{100 * value:.3g} %" if value else "0 %"


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


def trigger_text(trigger: Trigger) -> Markup:
    """A trigger to read: the prefix, its firing token marked, and faintly what follows."""
    before, firing, after = trigger.marked("", "")
    if len(before) > _BEFORE:
        before = f"…{before[-_BEFORE:]}"
    if len(after) > _AFTER:
        after = f"{after[:_AFTER]}…"
    return Markup('<span class="prefix">{}<mark>{}</mark></span><span class="after">{}</span>').format(
        before, firing, after
    )
