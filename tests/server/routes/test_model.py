"""The state of the model over HTTP, and questions that are taken back."""

import threading
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pytest
from starlette.testclient import TestClient

from ffmem import Index
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.model_questions import ModelQuestions
from ffmem.server.opening import open_explorer

RESTS = {"running": "", "seconds": 0.0, "n_waiting": 0, "n_before": None}


def test_the_state_of_the_model_is_told(client: TestClient, explained: Explorer) -> None:
    assert client.get("/model.json").json() == {"state": "ready", "name": "gpt2", "why": ""} | RESTS
    absent = TestClient(make_app(explained), base_url="http://localhost").get("/model.json").json()
    assert absent["state"] == "absent" and "--no-model" in absent["why"]


def test_a_running_question_is_told_and_cancelled(
    index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    begun, passes = threading.Event(), []

    def endless(self: ModelQuestions, _: object) -> object:
        until = time.monotonic() + 120  # a test that fails must end too
        while time.monotonic() < until:  # the model itself, again and again: it is stopped between two of its layers
            begun.set()
            passes.append(self._model.forward(self._model_ids))
        raise AssertionError("nobody stopped it")

    explorer = open_explorer(index_of("gpt2").folder)
    explorer.model.wait()
    import torch

    monkeypatch.setattr(ModelQuestions, "_model_ids", torch.tensor([[1, 2, 3]]), raising=False)
    monkeypatch.setattr(ModelQuestions, "prompt", endless)
    with TestClient(make_app(explorer), base_url="http://localhost") as client, ThreadPoolExecutor(2) as pool:
        first = pool.submit(client.get, "/prompt.json", params={"text": "a"}, headers={"x-ffmem-job": "one"})
        assert begun.wait(60)  # only then the second, or it may come first
        second = pool.submit(client.get, "/map.json", params={"text": "a"}, headers={"x-ffmem-job": "two"})
        until = time.monotonic() + 20
        while (told := client.get("/model.json", params={"job": "two"}).json())["n_before"] != 1:
            assert time.monotonic() < until, told
        assert (told["running"], told["n_waiting"]) == ("a prompt", 1) and told["seconds"] >= 0
        assert client.delete("/model.json", params={"job": "none"}).json() == {"cancelled": False}
        assert client.delete("/model.json", params={"job": "one"}).json() == {"cancelled": True}
        answer = first.result(20)
        assert (answer.status_code, answer.json()["error"]["kind"]) == (409, "Cancelled")
        assert second.result(60).json()["problems"] == {}
    assert passes
