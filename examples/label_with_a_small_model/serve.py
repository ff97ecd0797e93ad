"""A small model behind OpenAI's chat completions, for trying `ffmem label` where no server is: one call at a time, on the CPU.

    python examples/label_with_a_small_model/serve.py smollm2 --port 8080

Greedy, whatever the temperature; it tells how likely tokens were, and counts them. Where JSON is asked for, the answer begins
with a brace and ends where the object does; what stands between is the model's. llama.cpp, vLLM and Ollama do all of this
better and faster, `transformers serve` without probabilities and without JSON.
"""

import argparse
import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, StoppingCriteria

from ffmem.models.loading.sources import resolve

MOST_LOGPROBS = 20
OPENING = '{"'
"""That an answer which is to be an object begins with."""


class WholeObject(StoppingCriteria):
    """Ends an answer where the object in it does."""

    def __init__(self, tokenizer: Any, n_in: int) -> None:
        self.tokenizer, self.n_in = tokenizer, n_in

    def __call__(self, input_ids: torch.Tensor, _scores: torch.Tensor, **_: Any) -> torch.Tensor:
        """Whether it has ended."""
        text = OPENING + self.tokenizer.decode(input_ids[0, self.n_in :])
        return torch.tensor([text.rstrip().endswith("}") and is_object(text)])


def is_object(text: str) -> bool:
    """Whether a text is one JSON object."""
    try:
        return isinstance(json.loads(text), dict)
    except ValueError:
        return False


class ChatModel:
    """A model that answers chats, one at a time."""

    def __init__(self, name: str) -> None:
        folder = resolve(name)
        self.name, self.alone = name, threading.Lock()
        self.tokenizer: Any = AutoTokenizer.from_pretrained(folder)
        self.model: Any = AutoModelForCausalLM.from_pretrained(folder).eval()

    @torch.inference_mode()
    def complete(self, body: dict[str, Any]) -> dict[str, Any]:
        """A chat completion; ValueError where the body asks for what there is not."""
        n_told = int(body.get("top_logprobs", 0)) if body.get("logprobs") else 0
        if n_told > MOST_LOGPROBS:
            raise ValueError(f"top_logprobs above {MOST_LOGPROBS} are not supported")
        opening = OPENING if body.get("response_format", {}).get("type") == "json_object" else ""
        chat = self.tokenizer.apply_chat_template(body["messages"], add_generation_prompt=True, tokenize=False)
        prompt = self.tokenizer(chat + opening, return_tensors="pt", add_special_tokens=False)
        n_in = prompt["input_ids"].shape[1]
        made = self.model.generate(
            prompt["input_ids"],
            attention_mask=prompt["attention_mask"],
            stopping_criteria=[WholeObject(self.tokenizer, n_in)] if opening else [],
            max_new_tokens=int(body["max_tokens"]),
            do_sample=False,
            output_logits=True,
            return_dict_in_generate=True,
            pad_token_id=self.tokenizer.eos_token_id,
        )
        written = made.sequences[0, n_in:].tolist()
        ended = bool(written) and written[-1] in self._ends()
        shown = written[:-1] if ended else written
        text = opening + self.tokenizer.decode(shown, skip_special_tokens=True)
        choice = {
            "index": 0,
            "message": {"role": "assistant", "content": text},
            "finish_reason": "stop" if ended or (opening and is_object(text)) else "length",
            "logprobs": None,
        }
        if n_told:
            pairs = zip(shown, made.logits, strict=False)
            choice["logprobs"] = {"content": [self._told(token, logits[0], n_told) for token, logits in pairs]}
        usage = {"prompt_tokens": n_in, "completion_tokens": len(written), "total_tokens": n_in + len(written)}
        return {"object": "chat.completion", "model": self.name, "choices": [choice], "usage": usage}

    def _ends(self) -> list[int]:
        ends = self.model.generation_config.eos_token_id
        return ends if isinstance(ends, list) else [self.tokenizer.eos_token_id if ends is None else ends]

    def _told(self, token: int, logits: torch.Tensor, n_told: int) -> dict[str, Any]:
        logprobs = logits.float().log_softmax(-1)
        best = logprobs.topk(min(n_told, len(logprobs)))
        named = [
            {"token": self.tokenizer.decode([other]), "logprob": value}
            for other, value in zip(best.indices.tolist(), best.values.tolist(), strict=True)
        ]
        return {
            "token": self.tokenizer.decode([token]),
            "logprob": float(logprobs[token]),
            "top_logprobs": named,
        }


class Handler(BaseHTTPRequestHandler):
    """The two addresses that ffmem calls."""

    chat: ChatModel
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        """The list of models."""
        self._write(200, {"object": "list", "data": [{"id": self.chat.name, "object": "model"}]})

    def do_POST(self) -> None:
        """A chat completion."""
        text = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        try:
            with self.chat.alone:
                answer = self.chat.complete(json.loads(text))
            self._write(200, answer)
        except (ValueError, KeyError, TypeError) as error:
            self._write(400, {"error": {"message": f"{type(error).__name__}: {error}"}})

    def _write(self, status: int, answer: dict[str, Any]) -> None:
        body = json.dumps(answer).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_: Any) -> None:
        """Say nothing: one line a call would hide the labelling's own."""


def main() -> None:
    """Serve until Ctrl-C."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "model", nargs="?", default="smollm2", help="as `ffmem index` takes it; it needs a chat template"
    )
    parser.add_argument("--port", type=int, default=8080)
    given = parser.parse_args()
    Handler.chat = ChatModel(given.model)
    server = ThreadingHTTPServer(("127.0.0.1", given.port), Handler)
    print(f"{given.model} answers at http://127.0.0.1:{server.server_port}/v1 (Ctrl-C ends it)", flush=True)
    try:
        server.serve_forever()
    except KeyboardInterrupt:
        server.server_close()


if __name__ == "__main__":
    main()
