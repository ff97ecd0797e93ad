"""The server of the example with a small model, with a tiny one: what it answers is what the model computes."""

import importlib.util
import threading
from collections.abc import Callable, Iterator
from http.server import ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer

from ffmem.names.lm.client.address import parse_address
from ffmem.names.lm.client.cache import ReplyCache
from ffmem.names.lm.client.probe import probe
from ffmem.names.lm.client.server import Server

EXAMPLE = Path(__file__).parents[1] / "examples" / "label_with_a_small_model" / "serve.py"
TEMPLATE = (
    "{% for message in messages %}{{ message['role'] + ': ' + message['content'] + '\\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'assistant:' }}{% endif %}"
)
CHAT = [{"role": "user", "content": "the lazy dog"}]


@pytest.fixture(scope="module")
def chat_folder(tiny_folder: Callable[[str], Path], tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("chat")
    model, tokenizer = (kind.from_pretrained(tiny_folder("llama")) for kind in (AutoModelForCausalLM, AutoTokenizer))
    tokenizer.chat_template = TEMPLATE
    tokenizer.eos_token = "<pad>"
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


@pytest.fixture(scope="module")
def example() -> Any:
    spec = importlib.util.spec_from_file_location("small_model_server", EXAMPLE)
    assert spec is not None and spec.loader is not None
    example: Any = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(example)
    return example


@pytest.fixture(scope="module")
def address(chat_folder: Path, example: Any) -> Iterator[str]:
    example.Handler.chat = example.ChatModel(str(chat_folder))
    server = ThreadingHTTPServer(("127.0.0.1", 0), example.Handler)
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()
    server.server_close()
    thread.join()


def test_its_probabilities_are_those_of_the_plain_model(address: str, chat_folder: Path, tmp_path: Path) -> None:
    model: Any = AutoModelForCausalLM.from_pretrained(chat_folder).eval()
    tokenizer: Any = AutoTokenizer.from_pretrained(chat_folder)
    ids = tokenizer("user: the lazy dog\nassistant:", return_tensors="pt", add_special_tokens=False)["input_ids"]
    cache = ReplyCache(tmp_path / "cache.sqlite")
    with Server(parse_address(address), str(chat_folder), cache=cache, timeout_s=30.0) as server:
        reply = server.ask(CHAT, 3, 5)
        assert (reply.tokens_in, reply.tokens_out, reply.counted) == (ids.shape[1], 3, True)
        for position in reply.token_probabilities:
            with torch.inference_mode():
                truth = model(ids).logits[0, -1].double().softmax(-1)
            best = truth.topk(5)
            truth_of: dict[str, float] = {}
            for token, p in zip(best.indices, best.values.tolist(), strict=True):
                truth_of.setdefault(tokenizer.decode([token]), p)  # parts of characters look alike
            assert position.probabilities == pytest.approx(truth_of, rel=1e-4)
            assert position.token == tokenizer.decode([best.indices[0]])
            ids = torch.cat([ids, best.indices[:1, None]], dim=1)
        assert reply.text == tokenizer.decode(ids[0, -3:], skip_special_tokens=True)
    cache.close()


def test_ffmem_finds_out_what_it_can(address: str, chat_folder: Path, tmp_path: Path) -> None:
    cache = ReplyCache(tmp_path / "cache.sqlite")
    with Server(parse_address(address), str(chat_folder), cache=cache, timeout_s=30.0) as server:
        found = probe(server)
    cache.close()
    assert (found.listed, found.logprobs, found.top_logprobs, found.repeatable) == (True, "yes", 20, True)
    assert (found.counts_tokens, found.system, found.max_tokens_kept) == (True, True, True)


def test_an_answer_that_is_to_be_json_begins_with_a_brace_and_ends_with_the_object(
    address: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, example: Any
) -> None:
    """The tiny model writes nonsense: so its words are given to it."""
    chat, words = example.Handler.chat, 'a": {"b": 1}} and so on'
    ids = chat.tokenizer(words, add_special_tokens=False)["input_ids"]

    def forced(input_ids: torch.Tensor, scores: torch.Tensor) -> torch.Tensor:
        forced.n += 1  # type: ignore[attr-defined]
        return torch.zeros_like(scores).index_fill_(1, torch.tensor([ids[forced.n - 1]]), 9.0)  # type: ignore[attr-defined]

    forced.n = 0  # type: ignore[attr-defined]
    generate = chat.model.generate
    monkeypatch.setattr(
        chat.model, "generate", lambda *given, **named: generate(*given, **named, logits_processor=[forced])
    )
    cache = ReplyCache(tmp_path / "cache.sqlite")
    with Server(parse_address(address), "m", cache=cache, timeout_s=30.0) as server:
        reply = server.ask(CHAT, 60, json=True)
    cache.close()
    assert (reply.text.rstrip(), reply.finish_reason) == ('{"a": {"b": 1}}', "stop")
