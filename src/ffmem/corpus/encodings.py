"""Bytes -> lines of text in a named encoding; what plainly is in another one is refused."""

import codecs
import io
import os
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from ffmem.corpus.compression import DAMAGED, open_plain
from ffmem.errors import InputError

UTF_8 = "utf-8"
_MARKS = (  # those of UTF-32 first: one of them begins with one of UTF-16
    (codecs.BOM_UTF32_LE, "utf-32", "-le"),
    (codecs.BOM_UTF32_BE, "utf-32", "-be"),
    (codecs.BOM_UTF8, UTF_8, ""),
    (codecs.BOM_UTF16_LE, "utf-16", "-le"),
    (codecs.BOM_UTF16_BE, "utf-16", "-be"),
)
_NO_TEXT = frozenset({"idna", "punycode", "unicode-escape", "raw-unicode-escape", "undefined", "mbcs", "oem", "utf-7"})
"""What Python calls an encoding of text and no file is in, or whose result depends on the machine."""
_HEAD_BYTES = 4096
_ENOUGH_BYTES = 64
"""So many bytes of UTF-8 are no accident in UTF-16."""
_REPLACED = "ffmem-a-surrogate-a-byte"


def _one_surrogate_a_byte(error: UnicodeError) -> tuple[str, int]:
    assert isinstance(error, UnicodeDecodeError)
    return "\udc80" * (error.end - error.start), error.end


codecs.register_error(_REPLACED, _one_surrogate_a_byte)


def encoding_named(name: str) -> str:
    """The one spelling of an encoding's name.

    Raises:
        InputError: there is none of this name, or it is not one of text.
    """
    try:
        found = codecs.lookup(name)
        known = found._is_text_encoding and found.name.replace("_", "-") not in _NO_TEXT
    except (LookupError, ValueError, TypeError, UnicodeError):
        known = False
    if not known:
        raise InputError(
            f"--encoding is {name!r}, which is not a known text encoding",
            "Expected a name such as utf-8, utf-16, utf-32, latin-1, cp1252, shift_jis, euc-kr or gb18030",
            "Leave --encoding out for UTF-8",
        )
    return UTF_8 if found.name == "utf-8-sig" else found.name


def decoded(data: bytes, encoding: str) -> str:
    """The text of some bytes; a lone surrogate stands for each byte that does not decode."""
    return data.decode(encoding, errors=_REPLACED)


def read_lines(path: Path, name: str, encoding: str) -> Iterator[tuple[int, str]]:
    r"""The numbered lines of a file without their ends, which are \n, \r\n and \r.

    A lone surrogate stands for each byte that does not decode. A byte-order mark at the beginning is no text.

    Args:
        path: the file; decompressed as its suffix says.
        name: what messages call it.
        encoding: as `encoding_named` spells it.

    Raises:
        InputError: it is truncated, plainly in another encoding, or has NUL characters.
    """
    number = 0
    try:
        head = _head(path)
        codec = _checked(head, name, encoding)
        with io.TextIOWrapper(open_plain(path), encoding=codec, errors=_REPLACED, newline=None) as text:
            for number, line in enumerate(text, start=1):
                if "\0" in line:
                    raise _has_null(head, f"line {number} of {name}", encoding)
                content = line[:-1] if line.endswith("\n") else line
                yield number, content.removeprefix("\ufeff") if number == 1 else content
    except DAMAGED as error:
        raise InputError(
            f"{name} is truncated or corrupt after line {number}: {error}",
            f"Expected a whole {path.suffix} file",
            "Fetch it again, or compress it again",
        ) from error


def _head(path: Path) -> bytes:
    """The first bytes of a file, as many as can be read."""
    head = b""
    with open_plain(path) as file, suppress(*DAMAGED):  # which line that is after shows when lines are read
        while len(head) < _HEAD_BYTES and (more := file.read1(_HEAD_BYTES - len(head))):
            head += more
    return head


class _Mark(NamedTuple):
    family: str
    order: str
    """"-le", "-be", or "" where there is but one."""


def _mark_of(head: bytes) -> _Mark | None:
    """The byte-order mark that a file begins with."""
    return next((_Mark(family, order) for mark, family, order in _MARKS if head.startswith(mark)), None)


def _checked(head: bytes, name: str, encoding: str) -> str:
    """The codec to read a file with that begins so; refused if it plainly is in another encoding."""
    mark = _mark_of(head)
    if mark is not None:
        if encoding not in (mark.family, mark.family + mark.order):
            raise InputError(
                f"{name} begins with the byte-order mark of {mark.family.upper()}",
                f"Expected text in {encoding}",
                _encode(mark.family),
            )
        return mark.family + mark.order
    if encoding in ("utf-16", "utf-32"):
        likely = _looks_like(head) or ""
        ends = (f"{encoding}-le", f"{encoding}-be")
        raise InputError(
            f"{name} has no byte-order mark, so its {encoding.upper()} may be in either byte order",
            f"Expected a byte-order mark, or one of: {', '.join(ends)}",
            _encode(likely) if likely in ends else f"Choose one of them: --encoding {ends[0]}, or --encoding {ends[1]}",
        )
    if encoding.startswith(("utf-16", "utf-32")):
        likely = _looks_like(head) or (UTF_8 if _is_plain_utf8(head) else encoding)
        if likely != encoding:
            raise InputError(f"{name} is plainly in {likely.upper()}", f"Expected text in {encoding}", _encode(likely))
    return encoding


def _is_plain_utf8(head: bytes) -> bool:
    return len(head) >= _ENOUGH_BYTES and b"\0" not in head and _is_utf8(head)


def _is_utf8(head: bytes) -> bool:
    try:
        codecs.getincrementaldecoder(UTF_8)().decode(head)  # its last character may be cut
    except UnicodeDecodeError:
        return False
    return True


def _looks_like(head: bytes) -> str | None:
    """UTF-16 or UTF-32 by its zero bytes, which stand at regular places; None for anything else."""
    columns = [head[first::4] for first in range(4)]
    if len(head) >= 4 and len(head) % 4 == 0:
        for order, (zero, small, rest) in (("le", (3, 2, (0, 1))), ("be", (0, 1, (2, 3)))):
            planes = not any(columns[zero]) and max(columns[small]) <= 0x10
            if planes and any(columns[rest[0]]) | any(columns[rest[1]]):
                return f"utf-32-{order}"
    even, odd = head[0::2].count(0), head[1::2].count(0)
    for order, many, few in (("le", odd, even), ("be", even, odd)):
        if many > 4 * few and (many * 20 >= 3 * len(head) or not _is_utf8(head)):
            return f"utf-16-{order}"
    return None


def _has_null(head: bytes, where: str, encoding: str) -> InputError:
    likely = _looks_like(head)
    if likely is not None and likely != encoding:
        return InputError(
            f"{where} has NUL characters, as {likely.upper()} without a byte-order mark has when it is read as {encoding}",
            f"Expected text in {encoding}",
            _encode(likely),
        )
    return InputError(
        f"{where} has a NUL character (U+0000)",
        f"Expected text in {encoding}, which has none",
        "Remove it, for example: tr -d '\\000' < FILE > NEW; or name the file's encoding with --encoding",
    )


def _encode(encoding: str) -> str:
    return f"Name its encoding: --encoding {encoding}"


def readable(name: str) -> str:
    """A file's name as text: its bytes that are no UTF-8 become U+FFFD."""
    return os.fsencode(name).decode(errors="replace")
