"""Errors in the words of a page: what the command line calls a flag is a field there."""

import re
from collections.abc import Mapping

_FLAG = re.compile(r"(?<![\w-])--([a-z][a-z-]*)")
_COMMAND = re.compile(r"`?\bffmem [a-z]+\b")
_WRITE = re.compile(r"Write --([a-z][a-z-]*) (\S+)(.*)", re.DOTALL)
_LEAVE = re.compile(r"Leave --([a-z][a-z-]*) out(.*)", re.DOTALL)
_BY_PAGE = {
    "cells": "Choose a cell, a layer or an order from the lists under Cells",
    "search": "Change the question in the box above; an empty one shows what can be asked",
    "prompt": "Change the text or its fields on the page of the prompt",
    "map": "Change the text or its fields on the page of the map",
    "attention": "Change the text or its fields on the page of attention",
    "flow": "Change the text or its fields on this page",
    "diff": "Choose from the fields of the page of differences",
    "annotate": "Go back, and correct the form; the batches stand under Annotate",
    "collections": "Go back, and correct the form; the collections stand under Collections",
    "names": "Choose from the fields of the page",
    "figures": "Choose a figure from the page of figures",
}
"""What to do on a page, by the first part of its address."""
_SENTENCES = re.compile(r"(?<=[.!?…]) +(?=[A-Z])")
_PARTS = re.compile(r"; +")
_ASIDE = re.compile(r" *\(--[a-z-]+\)")
_ELSEWHERE = "Go back, and change what was asked"


def on_page(told: Mapping[str, str], path: str, elsewhere: str = _ELSEWHERE) -> dict[str, str]:
    """The three parts of an error for who reads them in a browser; texts without flags stay as they are.

    Args:
        told: got, expected, mend.
        path: of the page.
        elsewhere: what to do where the page is not known.
    """
    mend, first = told["mend"], path.lstrip("/").partition("/")[0]
    if write := _WRITE.fullmatch(mend):
        mend = f"Choose {write[2]} for {_words(write[1])}{write[3]}"
    elif leave := _LEAVE.fullmatch(mend):
        mend = f"Leave {_words(leave[1])} empty{leave[2]}"
    if _FLAG.search(mend) or _COMMAND.search(mend):
        mend = _BY_PAGE.get(first, elsewhere)
    return {"got": _plain(told["got"]), "expected": _plain(told["expected"]), "mend": mend}


def without_commands(text: str) -> str:
    """An error in one piece for who reads it in a browser: without what is to be typed into a terminal.

    Args:
        text: sentences, and parts of them behind semicolons; those that speak of a command or a flag are left out.
    """
    sentences = _SENTENCES.split(_ASIDE.sub("", text))
    kept = ["; ".join(part for part in _PARTS.split(one) if not _is_command(part)) for one in sentences]
    shown = " ".join(one if one.endswith((".", "!", "?", "…")) else f"{one}." for one in kept if one)
    return shown or _plain(text) if _is_command(text) else text


def _is_command(text: str) -> bool:
    return bool(_FLAG.search(text) or _COMMAND.search(text))


def _plain(text: str) -> str:
    return _FLAG.sub(lambda found: _words(found[1]), text)


def _words(flag: str) -> str:
    return flag.replace("-", " ")
