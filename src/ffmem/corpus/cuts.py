"""Where a long text may be cut before it is tokenized, so that its pieces have the very tokens of the whole.

A tokenizer takes some 200 bytes of memory for a character, so a line of many megabytes needs gigabytes at once. For most
tokenizers it can be shown that a cut between a letter and a single space before another letter ("of| the") changes no token:

- each step of the normalizer looks at a character and those that combine with it, and nothing combines across that place;
- a pre-tokenizer parts a letter from the space after it, and what it looks at beyond a run of characters is at most one more,
  to which the end of the text is like a space; words are then looked up one by one;
- without one, pairs are merged over the whole text: if no token of the vocabulary has a letter before a space, then none is
  ever made across that place, and the merges on either side do not know of each other;
- no added token, which is looked for first, can lie across it.

Beside that argument, each cut is tried with the text around it. Where any of this does not hold, the text is not cut.
"""

import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

from tokenizers import Tokenizer

_LETTERS = "A-Za-z"
_IDEOGRAPHS = "\u4e00-\u9fff\u3041-\u3096\u30a1-\u30fa\uac00-\ud7a3"
_MARKS = "，。、！？；："
_AROUND = 200
"""Characters on either side of a cut with which it is tried."""
_NUMBERS = r"\p{N}{1,3}|"
_CONTRACTIONS = "(?i:'s|'t|'re|'ve|'m|'ll|'d)"
_REST = r" ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+"
_WORDS = rf"{_CONTRACTIONS}|[^\r\n\p{{L}}\p{{N}}]?\p{{L}}+|"
_CASES = (r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}]")
_CASED = "|".join(
    rf"[^\r\n\p{{L}}\p{{N}}]?{_CASES[0]}{first}{_CASES[1]}{second}{_CONTRACTIONS}?"
    for first, second in (("*", "+"), ("+", "*"))
)
KNOWN_PATTERNS = frozenset(
    {
        r"'s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+",  # GPT-2
        _WORDS + _NUMBERS + _REST,  # Llama 3
        _WORDS + r"\p{N}|" + _REST,  # Qwen 2
        f"{_CASED}|{_NUMBERS}" + _REST.replace(r"[\r\n]*", r"[\r\n/]*", 1),  # GPT-4o, Llama 4
        r"[A-Za-z]+(?:'[a-z]{1,2}(?![a-z]))?|\d+|[^\sA-Za-z\d]",  # the reference model
    }
)
"""Patterns of words. No match of theirs has white space after a letter or mark, or a mark after a letter."""


@dataclass(frozen=True)
class Cutter:
    """Cuts texts for one tokenizer."""

    rest: Tokenizer
    """Tokenizes what follows a cut: as the whole one, but puts nothing before a text."""
    places: "re.Pattern[str]"
    """Matches before the character that follows a cut."""

    def cut(self, text: str, size: int) -> list[str]:
        """A text in pieces of about ``size`` characters, longer where it has no such place, which join to it again."""
        at, place = [0], self.places.search(text, size)
        while place is not None:
            if not self._holds(text, place.start()):  # which the argument above rules out
                return [text]
            at.append(place.start())
            place = self.places.search(text, at[-1] + size)
        return [text[start:end] for start, end in pairwise([*at, len(text)])]

    def _holds(self, text: str, at: int) -> bool:
        left, right = text[max(0, at - _AROUND) : at], text[at : at + _AROUND]
        whole, *halves = self.rest.encode_batch_fast([left + right, left, right], add_special_tokens=False)
        return list(whole.ids) == [*halves[0].ids, *halves[1].ids]


def cutter_of(tokenizer: Tokenizer) -> Cutter | None:
    """What cuts texts for a tokenizer; None if it cannot be shown that its tokens stay the same."""
    made: dict[str, Any] = json.loads(tokenizer.to_str())
    normalizers, words = _steps(made["normalizer"], "normalizers"), _steps(made["pre_tokenizer"], "pretokenizers")
    if made["model"].get("dropout") or not all(map(_is_local, normalizers)):
        return None
    as_mark = any(step.get("content") == "▁" and step["type"] == "Replace" for step in normalizers)
    parts = _parts(words, as_mark)
    if parts is None or not (parts or _merges_apart(made["model"])):
        return None
    marks_too = parts and any(map(_parts_marks, words)) and not any(step.get("add_prefix_space") for step in words)
    pairs = [(_LETTERS, " ", _LETTERS)] + [(_IDEOGRAPHS, _MARKS, _IDEOGRAPHS)] * bool(marks_too)
    if not all(_leaves_alone(token, pairs) for token in made["added_tokens"]):
        return None
    places = "|".join(f"(?<=[{before}])(?=[{after}][{then}])" for before, after, then in pairs)
    return Cutter(_without_prefix(tokenizer, made, normalizers), re.compile(places))


def _steps(part: dict[str, Any] | None, several: str) -> list[dict[str, Any]]:
    if part is None:
        return []
    if part["type"] == "Sequence":
        return [step for one in part[several] for step in _steps(one, several)]
    return [part]


def _is_local(step: dict[str, Any]) -> bool:
    """Whether a step of a normalizer does the same to a text and to its pieces."""
    if step["type"] == "Replace":
        pattern = step["pattern"].get("String")
        return step["pattern"].get("Regex") == " {2,}" or (
            pattern is not None and (pattern == " " or not re.search(f"[ {_LETTERS}{_IDEOGRAPHS}{_MARKS}]", pattern))
        )
    return step["type"] in {
        "NFC", "NFD", "NFKC", "NFKD", "Lowercase", "StripAccents", "BertNormalizer", "Precompiled", "Prepend"
    }  # fmt: skip


def _parts(steps: Sequence[dict[str, Any]], as_mark: bool) -> bool | None:
    """Whether a pre-tokenizer parts a letter from the space after it; None if one of its steps is not known."""
    parts = False
    for step in steps:
        kind = step["type"]
        if kind == "Metaspace":
            parts |= bool(step.get("split", True))
        elif as_mark:  # which the others do not take for a space
            if kind != "Split" or step["pattern"] != {"String": " "}:
                return None
        elif kind == "Split":
            if not _is_known(step):
                return None
            parts = True
        elif kind in {"Whitespace", "WhitespaceSplit", "BertPreTokenizer"} or (
            kind == "ByteLevel" and step["use_regex"]
        ):
            parts = True
        elif kind not in {"ByteLevel", "Digits", "Punctuation"}:
            return None
    return parts


def _is_known(split: dict[str, Any]) -> bool:
    behavior = (split["behavior"], bool(split["invert"]))
    return split["pattern"].get("Regex") in KNOWN_PATTERNS and behavior in {
        ("Isolated", False), ("Isolated", True), ("Removed", True)
    }  # fmt: skip


def _parts_marks(step: dict[str, Any]) -> bool:
    """Whether a step that parts letters from spaces also parts ideographs from the mark after them."""
    return step["type"] in {"Whitespace", "BertPreTokenizer", "Split"} or bool(step.get("use_regex"))


def _merges_apart(model: dict[str, Any]) -> bool:
    """Whether a model that merges pairs over a whole text never makes a token with a letter before a space."""
    if model["type"] != "BPE" or model.get("continuing_subword_prefix") or model.get("end_of_word_suffix"):
        return False
    vocabulary = model["vocab"]
    letters = [chr(code) for code in (*range(ord("A"), ord("Z") + 1), *range(ord("a"), ord("z") + 1))]
    # where a character is unknown, what stands for it may be joined with that of the next
    return all(one in vocabulary for one in (*letters, "▁")) and not any(
        re.search(f"[{_LETTERS}][ ▁]", token) for token in vocabulary
    )


def _leaves_alone(token: dict[str, Any], pairs: Sequence[tuple[str, str, str]]) -> bool:
    """Whether an added token can neither lie across a cut nor take white space there."""
    content = token["content"]
    if any(re.search(f"[{before}][{after}]", content) for before, after, _ in pairs):
        return False
    if token["single_word"] and re.match(f"[ {_MARKS}]", content):
        return False
    return not (token["rstrip"] and content[-1:].isalnum()) and not (token["lstrip"] and content[:1].isalnum())


def _without_prefix(tokenizer: Tokenizer, made: dict[str, Any], normalizers: list[dict[str, Any]]) -> Tokenizer:
    if not any(step["type"] == "Prepend" for step in normalizers):
        return tokenizer
    others = [step for step in normalizers if step["type"] != "Prepend"]
    return Tokenizer.from_str(json.dumps(made | {"normalizer": {"type": "Sequence", "normalizers": others}}))
