"""A model that is loaded when it is first asked, once, and in one thread."""

import asyncio
import threading
from collections.abc import Callable
from typing import Any

import pytest

from ffmem import Index, InputError
from ffmem.agent import model as module
from ffmem.agent.model import LazyModel


def test_it_is_loaded_once_and_by_the_first_question(
    index_of: Callable[[str], Index], monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    load = module._load

    def counted(*arguments: Any) -> Any:
        loaded.append(threading.current_thread().name)
        return load(*arguments)

    monkeypatch.setattr(module, "_load", counted)
    lazy = LazyModel(index_of("gpt2"))
    assert not loaded

    async def twice() -> list[Any]:
        return await asyncio.gather(
            *(lazy.ask(lambda model, index: (model.facts.n_layers, index.n_layers)) for _ in "ab")
        )

    assert asyncio.run(twice()) == [(3, 3)] * 2 and loaded == ["model_0"]
    lazy.close()


def test_another_model_is_refused_each_time(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Any]
) -> None:
    lazy = LazyModel(index_of("gpt2"), str(tiny_folder("opt")))
    for _ in "ab":
        with pytest.raises(InputError, match="other weights"):
            asyncio.run(lazy.ask(lambda model, _: model))
    lazy.close()
