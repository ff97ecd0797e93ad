"""Answers that are kept: the same bytes as made anew, and never older than what lies beside the index."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from starlette.testclient import TestClient

import ffmem
from ffmem import Index
from ffmem.names import people
from ffmem.server import kept_answers as module
from ffmem.server.app import make_app
from ffmem.server.kept_answers import KeptAnswers, state_beside
from ffmem.server.opening import open_explorer
from ffmem.server.sharing.visitors import VISITOR, Visitor
from tests.server.conftest import HTML


class Counting:
    """An application that says how often it was asked."""

    def __init__(self) -> None:
        self.n = 0

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.n += 1
        status = 404 if scope["query_string"] == b"missing" else 200
        await send({"type": "http.response.start", "status": status, "headers": [(b"x-number", str(self.n).encode())]})
        await send({"type": "http.response.body", "body": f"{self.n} ".encode(), "more_body": True})
        await send({"type": "http.response.body", "body": scope["path"].encode()})


def test_what_was_made_is_given_again_as_long_as_nothing_changes() -> None:
    state = ["one"]
    client = TestClient(KeptAnswers(Counting(), lambda: state[0]))
    assert [client.get("/cells/L0.1").text for _ in range(3)] == ["1 /cells/L0.1"] * 3
    assert client.get("/cells/L0.1").headers["x-number"] == "1"
    assert client.get("/cells/L0.1", headers=HTML).text == "2 /cells/L0.1"  # a page is not JSON
    assert client.get("/cells/L0.1?triggers=3").text == "3 /cells/L0.1"
    state[0] = "two"
    assert client.get("/cells/L0.1").text == "4 /cells/L0.1"
    assert client.post("/collections").text == "5 /collections"  # whoever writes may change anything
    assert client.get("/cells/L0.1").text == "6 /cells/L0.1"


@pytest.mark.parametrize(
    "path", ["/prompt?text=a", "/cells/L0.1/shades", "/annotate", "/search?q=%2Fa%2F", "/cells?missing"]
)
def test_what_a_model_answers_and_errors_are_made_each_time(path: str) -> None:
    client = TestClient(KeptAnswers(Counting(), lambda: 0))
    assert client.get(path).text != client.get(path).text


def test_each_visitor_has_answers_of_their_own() -> None:
    client = TestClient(KeptAnswers(Counting(), lambda: 0))
    answers = []
    for name in ("ann", "bob", "ann"):
        before = VISITOR.set(Visitor(name, "read"))
        answers.append(client.get("/").text)
        VISITOR.reset(before)
    assert answers == ["1 /", "2 /", "1 /"]


def test_the_oldest_go_when_there_is_no_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "MAX_KEPT_BYTES", 30)
    client = TestClient(KeptAnswers(Counting(), lambda: 0))
    for number in (1, 2, 3, 3, 1):
        last = client.get(f"/cells/L0.{number}").text
    assert last == "4 /cells/L0.1"


def test_pages_follow_what_is_said_beside_the_index(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    shutil.copytree(index_of("gpt2").folder, tmp_path / "i")
    index = ffmem.open_index(tmp_path / "i")
    explorer = open_explorer(index.folder, with_model=False)
    client = TestClient(make_app(explorer), base_url="http://localhost")
    first = client.get("/cells/L1.3", headers=HTML)
    assert client.get("/cells/L1.3", headers=HTML).content == first.content
    before = state_beside(index.folder)
    people.say(index, index.cell_id("L1.3"), "of rivers")  # as the command line does, in another process
    assert state_beside(index.folder) != before
    assert "of rivers" in client.get("/cells/L1.3", headers=HTML).text
    client.post("/collections", data={"name": "some", "cells": "L1.3"})
    assert 'href="/collections/some"' in client.get("/cells/L1.3", headers=HTML).text
