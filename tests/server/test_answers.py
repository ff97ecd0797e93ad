"""How answers and errors leave the explorer."""

import json

import pytest
from starlette.requests import Request
from starlette.testclient import TestClient

from ffmem import InputError, ModelError, StoreError
from ffmem.ids import CellId
from ffmem.server.answers import Missing, as_json, failure
from ffmem.server.model_thread import Busy, Cancelled


def asked(path: str, accept: str = "application/json") -> Request:
    scope = {
        "type": "http",
        "method": "GET",
        "path": path,
        "query_string": b"",
        "headers": [(b"accept", accept.encode())],
    }
    return Request(scope)


def missing() -> Missing:
    error = Missing()
    error.__cause__ = InputError("there is no cell L9.9", "Expected L0.0 to L2.47", "See /cells")
    return error


@pytest.mark.parametrize(
    ("error", "status", "kind"),
    [
        (InputError("a", "b", "c"), 400, "InputError"),
        (ModelError("a", "b", "c"), 422, "ModelError"),
        (StoreError("a", "b", "c"), 503, "StoreError"),
        (missing(), 404, "InputError"),
        (Busy(), 503, "Busy"),
        (Cancelled(), 409, "Cancelled"),
        (ValueError("a bug"), 500, "ValueError"),
    ],
)
def test_each_error_has_one_status_and_one_body(error: Exception, status: int, kind: str) -> None:
    answer = failure(asked("/cells/L9.9.json", "text/html"), error)
    told = json.loads(answer.body)["error"]
    assert answer.status_code == status and told["kind"] == kind
    assert set(told) == {"kind", "message", "got", "expected", "mend"}
    assert ("retry-after" in answer.headers) == (kind == "Busy")


def test_json_keeps_every_text_and_has_no_nan() -> None:
    answer = as_json({"text": "é\ud800", "x": float("nan"), "cell": CellId(1, 2)}, 201)
    assert answer.status_code == 201 and answer.media_type == "application/json"
    assert answer.body.decode() == '{"text": "é\\ud800", "x": null, "cell": "L1.2"}'


def test_a_browser_gets_a_page_and_a_program_json(client: TestClient) -> None:
    page = client.get("/cells/L99.1", headers={"accept": "text/html"})
    assert page.status_code == 404 and page.text.startswith("<!doctype html>") and "L99.1" in page.text
    assert client.get("/cells/L99.1").json()["error"]["kind"] == "InputError"
    assert client.get("/nothing<b>", headers={"accept": "text/html"}).text.count("<b>") == 0
