"""The thread that a model is asked in: one question at a time, in order, and no more waiting than it can answer."""

import asyncio
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
from starlette.testclient import TestClient

from ffmem import Index, InputError
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.limits import MAX_WAITING
from ffmem.server.model_thread import Busy, Cancelled, ModelThread

TEXT = "the old river"


class Model:
    """Stands for a model whose layers are the calls of `check`."""

    check: Callable[[], None]

    @contextmanager
    def stopping(self, check: Callable[[], None]) -> Iterator[None]:
        self.check = check
        yield


def slow_model(release: threading.Event, asked: list[str]) -> ModelThread:
    def load() -> Any:
        return Model()

    thread = ModelThread("slow", load)
    thread.wait()
    return thread


def test_pages_are_read_while_the_model_thinks(index_of: Callable[[str], Index]) -> None:
    """A question that hangs, and a reading page beside it."""
    release = threading.Event()
    explorer = Explorer(index_of("gpt2"), model=slow_model(release, []))
    client = TestClient(make_app(explorer), base_url="http://localhost")

    async def both() -> float:
        hanging = asyncio.ensure_future(explorer.model.ask(lambda _: release.wait(30)))
        await asyncio.sleep(0.05)
        begin = time.monotonic()
        answer = await asyncio.to_thread(client.get, "/cells/L1.3")
        assert answer.status_code == 200 and not hanging.done()
        took = time.monotonic() - begin
        release.set()
        await hanging
        return took

    assert asyncio.run(both()) < 10
    explorer.model.close()


def test_too_many_questions_are_told_to_come_back() -> None:
    release = threading.Event()
    thread = slow_model(release, [])

    async def many() -> None:
        waiting = [asyncio.ensure_future(thread.ask(lambda _: release.wait(30))) for _ in range(MAX_WAITING)]
        await asyncio.sleep(0.05)
        with pytest.raises(Busy):
            await thread.ask(lambda _: None)
        release.set()
        await asyncio.gather(*waiting)
        assert isinstance(await thread.ask(lambda model: model), Model)

    asyncio.run(many())
    thread.close()


def test_who_is_told_to_come_back_gets_503(client: TestClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ffmem.server.model_thread.MAX_WAITING", 0)
    answer = client.get("/prompt.json", params={"text": TEXT})
    assert answer.status_code == 503 and answer.headers["retry-after"] == "1"
    assert answer.json()["error"]["kind"] == "Busy"


def test_a_question_that_nobody_waits_for_is_not_asked() -> None:
    release, asked = threading.Event(), []
    thread = slow_model(release, asked)

    async def leave() -> None:
        first = asyncio.ensure_future(thread.ask(lambda _: release.wait(30)))
        second = asyncio.ensure_future(thread.ask(lambda _: asked.append("second")))
        await asyncio.sleep(0.05)
        second.cancel()
        await asyncio.sleep(0.05)
        release.set()
        await first
        await thread.ask(lambda _: asked.append("third"))

    asyncio.run(leave())
    assert asked == ["third"]
    thread.close()


def test_who_has_no_model_says_why() -> None:
    absent = ModelThread("tiny", None)
    assert (absent.state.state, absent.state.name) == ("absent", "tiny") and "--no-model" in absent.state.why
    with pytest.raises(InputError, match=r"tiny is not available: .* Start the explorer with it"):
        asyncio.run(absent.ask(lambda _: None))


def test_a_model_that_cannot_be_loaded_says_why() -> None:
    def load() -> Any:
        raise InputError("there is no model at x", "Expected one", "Name another")

    thread = ModelThread("tiny", load)
    thread.wait()
    assert thread.state.state == "failed" and "there is no model at x" in thread.state.why
    with pytest.raises(InputError, match="there is no model at x"):
        asyncio.run(thread.ask(lambda _: None))
    thread.close()


def test_pages_can_tell_that_it_loads() -> None:
    release = threading.Event()

    def load() -> Any:
        release.wait(30)
        return Model()

    thread = ModelThread("tiny", load)
    assert thread.state.state == "loading"
    release.set()
    thread.wait()
    assert thread.state == type(thread.state)("ready", "tiny", "")
    thread.close()


def test_a_question_that_is_taken_back_ends_before_its_next_layer() -> None:
    thread, begun, layers = slow_model(threading.Event(), []), threading.Event(), []

    def long(model: Any) -> None:
        for layer in range(10_000):
            model.check()
            layers.append(layer)
            begun.set()
            time.sleep(0.01)

    async def cancelled() -> None:
        first = asyncio.ensure_future(thread.ask(long, what="a prompt", job="one"))
        second = asyncio.ensure_future(thread.ask(lambda _: layers.append(-1), job="two"))
        await asyncio.to_thread(begun.wait, 10)
        state = thread.state_for("two")
        assert (state.running, state.n_waiting, state.n_before) == ("a prompt", 1, 1)
        assert thread.state_for("one").n_before == 0 and thread.state_for("three").n_before is None
        assert thread.cancel("two") and not thread.cancel("three") and not thread.cancel("")
        with pytest.raises(Cancelled):
            await second
        assert thread.cancel("one")
        with pytest.raises(Cancelled):
            await first
        assert await thread.ask(lambda _: "free") == "free"

    asyncio.run(cancelled())
    assert 0 < len(layers) < 1_000 and -1 not in layers and not thread.state.running
    thread.close()


def test_who_stops_waiting_stops_the_model() -> None:
    thread, begun, ended = slow_model(threading.Event(), []), threading.Event(), threading.Event()

    def long(model: Any) -> None:
        try:
            while True:
                model.check()
                begun.set()
                time.sleep(0.01)
        finally:
            ended.set()

    async def leave() -> None:
        asked = asyncio.ensure_future(thread.ask(long))
        await asyncio.to_thread(begun.wait, 10)
        asked.cancel()
        assert await asyncio.to_thread(ended.wait, 10)

    asyncio.run(leave())
    thread.close()
