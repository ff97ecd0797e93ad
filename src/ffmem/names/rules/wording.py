"""How a rule is said: one short line, with the share of what it covers, and how it looks in the evidence."""

from collections.abc import Sequence
from dataclasses import dataclass, field

from ffmem.cell import MAX_NAME
from ffmem.names.rules.features import Feature, Features
from ffmem.names.rules.shapes import PLURALS
from ffmem.store.reader import Index

_LONGEST_TOKEN = 24
_N_PROMOTED = 3
_SEEN = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def legible(text: str) -> str:
    r"""A piece of text without the white space around it; what cannot be seen as ``\n`` or ``\x1b``, white space alone as ␣."""
    core = text.strip(" ")
    shown = "".join(
        _SEEN.get(one) or (one if one.isprintable() else _escaped(one)) for one in core[: 4 * _LONGEST_TOKEN]
    )
    shown = shown or "␣" * min(len(text), 4) or "nothing"
    return shown if len(shown) <= _LONGEST_TOKEN else shown[: _LONGEST_TOKEN - 1] + "…"


def _escaped(character: str) -> str:
    code = ord(character)
    return f"\\x{code:02x}" if code < 256 else f"\\u{code:04x}" if code < 65536 else f"\\U{code:08x}"


@dataclass(frozen=True)
class Wording:
    """Says what values of features are called."""

    index: Index
    features: Features
    _phrases: dict[tuple[int, int], str] = field(default_factory=dict)

    def values(self, feature: Feature, values: Sequence[int]) -> list[str]:
        """Each value of a rule as text."""
        if feature.windows is not None:
            found = [feature.windows.gram(one) for one in values]
            return [self._phrase(int(grams.example[number]), grams.length) for grams, number in found]
        if feature.grams is not None:
            return [self._phrase(int(feature.grams.example[one]), feature.grams.length) for one in values]
        assert feature.said is not None
        return [feature.said[one] for one in values]

    def tokens(self, feature: Feature, groups: Sequence[int], members: Sequence[Sequence[int]]) -> list[str]:
        """Tokens of a rule as text: folded where several spellings of one are part of it."""
        strings = self.features.text.strings
        return [
            strings[one[0]].strip(" ") or strings[one[0]] if len(one) == 1 else self.features.folded[group]
            for group, one in zip(groups, members, strict=True)
        ]

    def _phrase(self, end: int, length: int) -> str:
        """The text of an n-gram, where it stands first."""
        key = (end, length)
        if key not in self._phrases:
            text = self.index.text
            sentence_id, position = text.locate(end)
            row = text.sentence(sentence_id)
            first, last = int(row.token_starts[position - length + 1]), int(row.token_ends[position])
            data = row.text.encode()[first:last].decode(errors="backslashreplace")
            self._phrases[key] = " ".join(data.split()).casefold() or data
        return self._phrases[key]

    def rule(self, feature: Feature, said: Sequence[str], lift: float | None = None) -> str:
        """A rule in words.

        Args:
            feature: whose values it has.
            said: these.
            lift: how much more often they are there where the unit fires.
        """
        quoted = ", ".join(f"'{legible(one)}'" for one in said)
        plain = ", ".join(legible(one) for one in said)
        match feature.family:
            case "position":
                return f"positional ({plain} token{'s' if plain != 'first' else ''})"
            case "shape":
                return ", ".join(PLURALS.get(one, f"{one} script" if feature.name == "script" else one) for one in said)
            case "token" | "ngram":
                return f"fires on {quoted}"
            case "previous":
                return f"after {quoted}"
            case "window":
                return f"with {quoted} before"
            case "field":
                told = "" if lift is None else f", lift {lift:.1f}"
                return f"{plain} ({legible(feature.field)}{told})"
            case "cluster":
                return f"about: {plain}"
        return plain


def line(rule: str, share: float | None, promoted: Sequence[str] = (), room: int = MAX_NAME) -> str:
    """A name: the rule, the share of the firing positions that it covers, and what is promoted there, as there is room."""
    told = "" if share is None else f" · {100 * share:.0f} %"
    if len(rule) + len(told) > room:
        rule = rule[: room - len(told) - 1].rstrip() + "…"
    name = rule + told
    for n in range(min(len(promoted), _N_PROMOTED), 0, -1):
        longer = f"{name} → {', '.join(legible(one) for one in promoted[:n])}"
        if len(longer) <= room:
            return longer
    return name
