"""What is asked of a model, and the body that asks it of a server that understands some fields and not others."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from ffmem.json_values import JsonObject
from ffmem.names.lm.client.capabilities import Capabilities

Message = Mapping[str, str]
"""One turn of a chat: its `role` (system, user or assistant) and its `content`."""


@dataclass(frozen=True)
class Request:
    """What is asked of a model."""

    messages: Sequence[Message]
    max_tokens: int
    """That it may write."""
    top_logprobs: int = 0
    """How many of the likeliest tokens to tell at each position; 0 tells none."""
    json: bool = False
    """Whether the answer is to be a JSON object; servers that can will write nothing else."""
    purpose: str = ""
    """What for ("label", "detection", ...): not sent; calls of one purpose are planned by those that were answered."""
    seed: int = 0
    """Of the draw; requests with different seeds are never answered by one stored reply."""
    expected_out: float | None = None
    """Tokens that it will probably write, for the plan; None: as many as it may."""

    @property
    def n_bytes(self) -> int:
        """Size of the prompt's text."""
        return sum(len(one["content"].encode("utf-8", "replace")) for one in self.messages)


def request_body(request: Request, model: str, server: Capabilities) -> bytes:
    """The body of a call, with the fields that the server understands and no others."""
    body: JsonObject = {
        "model": model,
        "messages": [dict(one) for one in (request.messages if server.system else _without_system(request.messages))],
        server.max_tokens: request.max_tokens,
        "stream": False,
    }
    if server.temperature != "refused":
        body["temperature"] = 0
    if server.seed != "refused":
        body["seed"] = request.seed
    if request.top_logprobs and server.logprobs == "yes":
        body |= {"logprobs": True, "top_logprobs": min(request.top_logprobs, server.top_logprobs)}
    if request.json and server.response_format != "refused":
        body["response_format"] = {"type": "json_object"}
    # Half characters of a corpus cannot be sent as bytes, but as escapes of JSON they can.
    text = json.dumps(body, ensure_ascii=False, separators=(",", ":"))
    return text.encode() if _whole(text) else json.dumps(body, separators=(",", ":")).encode()


def request_identity(url: str, body: bytes, seed: int) -> str:
    """What tells a call from all others: the server, the model, the prompt and every parameter.

    The seed is named beside the body, where a server that refuses seeds has none.
    """
    return hashlib.sha256(f"{url}\n{seed}\n".encode() + body).hexdigest()


def _without_system(messages: Sequence[Message]) -> list[Message]:
    """The same for a model whose chat has no system: its words begin those of the user."""
    system = "\n\n".join(one["content"] for one in messages if one["role"] == "system")
    rest = [one for one in messages if one["role"] != "system"]
    if not system:
        return rest
    if not rest or rest[0]["role"] != "user":
        return [{"role": "user", "content": system}, *rest]
    return [{"role": "user", "content": f"{system}\n\n{rest[0]['content']}"}, *rest[1:]]


def _whole(text: str) -> bool:
    try:
        text.encode()
    except UnicodeEncodeError:
        return False
    return True
