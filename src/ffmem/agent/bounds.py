"""Answers that fit: what is too long is cut, and the answer says what was left out."""

from dataclasses import dataclass
from typing import Any

from ffmem.json_values import JsonObject, visible_json_text

MAX_ANSWER_BYTES = 16_000
"""Of one answer, by default: some 4,000 tokens of a language model."""
MIN_ANSWER_BYTES = 1_000
_MIN_TEXT = 40
"""Characters below which no text is cut."""


@dataclass
class _Part:
    """A list or a text within an answer that can be shortened."""

    path: str
    holder: Any
    key: Any
    n_bytes: int


def bounded(answer: JsonObject, most: int, rest: str) -> str:
    """An answer as JSON of at most so many bytes. The longest lists are cut at their ends, then the longest texts.

    Args:
        answer: plain JSON values; it is not changed.
        most: bytes of UTF-8.
        rest: how to get what is left out.

    Returns:
        JSON with ``left_out`` in it if something was: path -> how many there are and how many are given.
    """
    text = visible_json_text(answer)
    if len(text.encode("utf-8", "replace")) <= most:
        return text
    copied = _copy(answer)
    lengths: dict[str, int] = {}
    while True:
        told = {path: f"{n} in all" for path, n in lengths.items()}
        text = visible_json_text(copied | ({"left_out": told, "for_the_rest": rest} if told else {}))
        over = len(text.encode("utf-8", "replace")) - most
        parts = sorted(_parts(copied, ""), key=lambda one: -one.n_bytes)
        if over <= 0 or not parts:
            return text if over <= 0 else visible_json_text({"left_out": "everything", "for_the_rest": rest})
        part = parts[0]
        before = part.holder[part.key]
        lengths.setdefault(part.path, len(before))
        share = max(0.0, 1 - over / max(part.n_bytes, 1))
        keep = min(len(before) - 1, max(1 if len(before) > 1 else 0, int(len(before) * share)))
        part.holder[part.key] = before[:keep] + "…" if isinstance(before, str) else before[:keep]


def _parts(value: Any, path: str) -> list[_Part]:
    """What can be cut: lists first; texts only where no list is left that is longer than one."""
    lists: list[_Part] = []
    texts: list[_Part] = []
    waiting: list[tuple[Any, str]] = [(value, path)]
    while waiting:
        holder, where = waiting.pop()
        items = holder.items() if isinstance(holder, dict) else enumerate(holder)
        for key, one in items:
            here = f"{where}.{key}" if where else str(key)
            if isinstance(one, list) and len(one) > 1:
                lists.append(_Part(here, holder, key, _size(one)))
            elif isinstance(one, str) and len(one) > _MIN_TEXT:
                texts.append(_Part(here, holder, key, _size(one)))
            if isinstance(one, dict | list):
                waiting.append((one, here))
    return lists or texts


def _size(value: Any) -> int:
    return len(visible_json_text(value).encode("utf-8", "replace"))


def _copy(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _copy(one) for key, one in value.items()}
    return [_copy(one) for one in value] if isinstance(value, list | tuple) else value
