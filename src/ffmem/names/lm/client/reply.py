"""What a server answers: a text, and how likely each of its tokens was; or why it is no answer."""

import json
import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ffmem.json_values import JsonObject

MOST_BYTES = 10_000_000
"""Of an answer's body; no answer that was asked for is as large."""
_THINKS, _THOUGHT = "<think>", "</think>"
"""Between these, models say what they think before they answer, where a server does not take it out."""
MOST_TOKENS = 1_000_000_000
"""That a server can sensibly say to have read or written."""


@dataclass(frozen=True)
class TokenProbabilities:
    """One token of a reply, and how likely it and its rivals were."""

    token: str
    """The one that was written."""
    probabilities: Mapping[str, float]
    """Of the likeliest tokens, itself among them; they need not add up to 1."""


@dataclass(frozen=True)
class Reply:
    """What a server answers, or why that is no answer."""

    text: str
    """As the model wrote it; empty if it failed."""
    token_probabilities: tuple[TokenProbabilities, ...]
    """Of each token that was written, in order; empty where the server tells none."""
    tokens_in: int
    """That the server has read."""
    tokens_out: int
    """That the model has written."""
    finish_reason: str
    """As the server says it: "stop", "length", ...; empty if it says none."""
    counted: bool = True
    """Whether the server has counted the tokens; else they are the bytes divided by 4."""
    failure: str = ""
    """Why this is no answer, in plain words; empty if it is one."""


def failed_reply(reason: str, tokens_in: int = 0) -> Reply:
    """A reply that is none."""
    return Reply("", (), tokens_in, 0, "", False, reason)


def estimated_tokens(n_bytes: int) -> int:
    """How many tokens a text of so many bytes may have, where nobody has counted them."""
    return -(-n_bytes // 4)


def read_reply(body: bytes, n_bytes_in: int, *, cut: bool = False) -> Reply:
    """The reply in the body of an answer; one that failed if there is none in it, whatever it is.

    Args:
        body: as the server sent it.
        n_bytes_in: size of the prompt's text.
        cut: whether the body is only a beginning, since it was larger than it may be.
    """
    if cut:
        return failed_reply(f"the answer has more than {MOST_BYTES / 1e6:.0f} MB", estimated_tokens(n_bytes_in))
    try:
        parsed = json.loads(body)
    except (ValueError, RecursionError):
        return failed_reply(_not_json(body), estimated_tokens(n_bytes_in))
    try:
        return _of_json(parsed, n_bytes_in)
    except (TypeError, ValueError, KeyError, IndexError, AttributeError):
        words = server_words(body)
        return failed_reply(f"the answer has no choices with a message: {words}", estimated_tokens(n_bytes_in))


def choice_probabilities(reply: Reply, choices: Sequence[str]) -> dict[str, float] | None:
    """How likely each of some short answers was, together 1; None if the reply is none of them.

    From the probabilities of the first token that is one of them, if the server tells them; else the answer that was
    written counts as certain. Such an answer is exactly one of the choices but for spaces, quotes and a full stop, or, to
    mend what small models write, a text with exactly one of them as a word in it ("The answer is 1."). Where something else
    was written, the first token could have been one of them: then their probabilities there, if any is told.
    """
    for position in reply.token_probabilities:
        if position.token.strip() in choices:
            return _among(position.probabilities, choices)
    if reply.failure:
        return None
    written = {reply.text.strip(" \t\r\n.\"'`*")} & set(choices)
    if not written:
        written = set(re.findall(r"\w+", reply.text)) & set(choices)
    if len(written) == 1:
        return {choice: float(choice in written) for choice in choices}
    if written or not reply.token_probabilities:
        return None
    return _among(reply.token_probabilities[0].probabilities, choices)


def json_object(text: str) -> JsonObject | None:
    """The JSON object that a reply consists of, or else the only one in it, out of prose or a fence; None if there is none."""
    try:
        parsed = json.loads(text)
    except (ValueError, RecursionError):
        parsed = _object_inside(text)
    return parsed if isinstance(parsed, dict) else None


def server_words(body: bytes, most: int = 300) -> str:
    """What a server says of an error, as one short line without special characters."""
    text = body[:100_000].decode("utf-8", "replace")
    try:
        parsed = json.loads(text)
        error = parsed.get("error", parsed)
        found = error if isinstance(error, str) else error.get("message") or error.get("detail") or text
        text = found if isinstance(found, str) else text
    except (ValueError, AttributeError, RecursionError):
        pass
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return (line if len(line) <= most else line[: most - 1] + "…") or "(nothing)"


def _among(probabilities: Mapping[str, float], choices: Sequence[str]) -> dict[str, float] | None:
    """The probabilities of some tokens, with a space before them or not, made to add up to 1; None if all are 0."""
    found = dict.fromkeys(choices, 0.0)
    for token, probability in probabilities.items():
        if token.strip() in found:
            found[token.strip()] += probability
    total = sum(found.values())
    return {choice: value / total for choice, value in found.items()} if total > 0 else None


def _of_json(parsed: Any, n_bytes_in: int) -> Reply:
    choice = parsed["choices"][0]
    message = choice["message"]
    text = _text(message.get("content"))
    probabilities = _probabilities(choice.get("logprobs"))
    tokens_in, tokens_out = _usage(parsed.get("usage"))
    counted = tokens_in is not None and tokens_out is not None
    finish = choice.get("finish_reason")
    n_bytes_out = len(text.encode())
    thinking = text.lstrip().startswith(_THINKS) or (not text and bool(message.get("reasoning_content")))
    if thinking:
        text, probabilities = _after_thinking(text, probabilities)
    return Reply(
        text,
        probabilities,
        estimated_tokens(n_bytes_in) if tokens_in is None else tokens_in,
        estimated_tokens(n_bytes_out) if tokens_out is None else tokens_out,
        finish if isinstance(finish, str) else "",
        counted,
        "the model was still thinking when its tokens were used up: switch its reasoning off"
        if thinking and not text
        else "",
    )


def _after_thinking(
    text: str, probabilities: tuple[TokenProbabilities, ...]
) -> tuple[str, tuple[TokenProbabilities, ...]]:
    """What a model that thinks aloud says after that, which alone is its answer."""
    ends = [number for number, one in enumerate(probabilities) if _THOUGHT in one.token]
    return text.partition(_THOUGHT)[2].strip(), probabilities[ends[0] + 1 :] if ends else ()


def _text(content: Any) -> str:
    if content is None:
        return ""
    if isinstance(content, list):  # parts of a message, of which only those with text count
        content = "".join(part.get("text") or "" for part in content)
    if not isinstance(content, str):
        raise TypeError("no text")
    return _plain(content)


def _plain(text: str) -> str:
    """Half characters, which JSON can hold and files cannot, as question marks."""
    return text.encode("utf-8", "replace").decode()


def _usage(usage: Any) -> tuple[int | None, int | None]:
    def count(name: str) -> int | None:
        value = usage.get(name) if isinstance(usage, dict) else None
        sound = isinstance(value, int) and not isinstance(value, bool) and 0 <= value <= MOST_TOKENS
        return value if sound else None

    return count("prompt_tokens"), count("completion_tokens")


def _probabilities(logprobs: Any) -> tuple[TokenProbabilities, ...]:
    """Of every token; none at all if a server writes them in some other form."""
    try:
        return tuple(_position(position) for position in logprobs["content"])
    except (TypeError, ValueError, KeyError, AttributeError, OverflowError):
        return ()


def _position(position: Any) -> TokenProbabilities:
    found: dict[str, float] = {}
    for one in [*(position.get("top_logprobs") or ()), position]:
        value = float(one["logprob"])
        if not math.isnan(value):
            # parts of a character all look alike: the likeliest of them counts
            token = _plain(one["token"])
            found[token] = max(found.get(token, 0.0), math.exp(min(value, 0.0)))
    return TokenProbabilities(_plain(position["token"]), found)


def _not_json(body: bytes) -> str:
    start = body[:200].lstrip().lower()
    if not start:
        return "the answer is empty"
    if start.startswith((b"<!doctype", b"<html", b"<head", b"<?xml")):
        return "the answer is a web page, not JSON: is that the address of the server's /v1?"
    if start.startswith((b"{", b"[")):
        return "the answer is JSON that is cut off or damaged"
    return f"the answer is not JSON: {server_words(body, 80)}"


def _object_inside(text: str) -> Any:
    decoder, found, at = json.JSONDecoder(), [], text.find("{")
    for _ in range(20):  # a text of braces alone would take a time that grows with the square of its length
        if at < 0:
            break
        try:
            value, end = decoder.raw_decode(text, at)
        except (ValueError, RecursionError):
            end = at + 1
        else:
            found.append(value)
        at = text.find("{", end)
    return found[0] if len(found) == 1 else None
