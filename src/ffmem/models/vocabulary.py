"""The tokens of a vocabulary as the bytes of text that they stand for."""

import json
import re
from collections.abc import Sequence
from functools import cache
from itertools import groupby
from typing import Any

_BYTE_TOKEN = re.compile(r"<0x([0-9A-Fa-f]{2})>")
_METASPACE = "▁"
UNREACHABLE = "\ue000"
"""Before tokens that no text is split into: those of the other language alone. It is for private use, and replaced in texts."""


@cache
def _byte_of_character() -> dict[str, int]:
    """The alphabet of byte-level BPE (GPT-2): printable bytes stand for themselves, the others for 256, 257, ..."""
    printable = [*range(ord("!"), ord("~") + 1), *range(ord("¡"), ord("¬") + 1), *range(ord("®"), ord("ÿ") + 1)]
    others = [byte for byte in range(256) if byte not in printable]
    return {chr(byte): byte for byte in printable} | {chr(256 + n): byte for n, byte in enumerate(others)}


def _decoder_types(tokenizer: Any) -> set[str]:
    decoder = json.loads(tokenizer.backend_tokenizer.to_str()).get("decoder") or {}
    return {str(part.get("type")) for part in [decoder, *decoder.get("decoders", [])]}


def is_byte_level(tokenizer: Any) -> bool:
    """Whether each token stands for an exact number of bytes (byte-level BPE)."""
    return "ByteLevel" in _decoder_types(tokenizer)


def token_bytes(tokenizer: Any, d_vocab: int = 0) -> list[bytes]:
    """For each id, from 0 to the largest, the bytes its token stands for.

    Byte-level tokens give their exact bytes, also parts of characters; of other tokenizers "▁" is a space, ``<0xE2>`` a
    byte, and marks such as WordPiece's ``##`` stay. Special tokens are as they are written; an id without a token is
    ``<id N>``.

    Args:
        tokenizer: a fast tokenizer.
        d_vocab: ids the model has scores for. Often more than the tokenizer has tokens: rows that round the matrix up.
    """
    size = max(d_vocab, *(number + 1 for number in tokenizer.get_vocab().values()))
    added = {int(number): str(token) for number, token in tokenizer.added_tokens_decoder.items()}
    byte_level, metaspace = is_byte_level(tokenizer), bool(_decoder_types(tokenizer) & {"Metaspace", "Replace"})
    strings = tokenizer.convert_ids_to_tokens(list(range(size)))
    return [
        added[number].removeprefix(UNREACHABLE).encode()
        if number in added
        else f"<id {number}>".encode()
        if string is None
        else _bytes_of(string.removeprefix(UNREACHABLE), byte_level, metaspace)
        for number, string in enumerate(strings)
    ]


def _bytes_of(token: str, byte_level: bool, metaspace: bool) -> bytes:
    if byte_level:
        table = _byte_of_character()
        if all(character in table for character in token):
            return bytes(table[character] for character in token)
        return token.encode()
    match = _BYTE_TOKEN.fullmatch(token)
    if match:
        return bytes([int(match[1], 16)])
    return (token.replace(_METASPACE, " ") if metaspace else token).encode()


def text_of(tokenizer: Any, ids: Sequence[int]) -> str:
    """What some ids say, one after the other, as the tokenizer joins them; an id without a token is ``<id N>``."""
    known = set(tokenizer.get_vocab().values())
    return "".join(
        tokenizer.decode(list(run)) if is_known else "".join(f"<id {number}>" for number in run)
        for is_known, run in groupby(ids, key=known.__contains__)
    )


def display(token: bytes) -> str:
    r"""A token as text; bytes that are no whole character as \\xNN."""
    return token.decode(errors="backslashreplace")


def spellings(text: str) -> list[str]:
    """What may be meant by a text that is no token: with a space before it, without its spaces, without a tokenizer's marks."""
    bare = text.strip().removeprefix("##").removesuffix("</w>").lstrip("▁Ġ").strip()
    return [one for one in dict.fromkeys((f" {text}", text.strip(), f" {bare}", bare)) if one.strip()]
