"""Finding out what a server understands, with a few tiny calls that hold no text of the corpus."""

import json
from dataclasses import replace

from ffmem.names.lm.client.capabilities import Capabilities, Support
from ffmem.names.lm.client.pace import seconds_per_token
from ffmem.names.lm.client.reply import Reply
from ffmem.names.lm.client.request import Request
from ffmem.names.lm.client.server import Server
from ffmem.names.lm.client.transport import Answer

_SHORT = Request(({"role": "user", "content": "Make up twenty random words."},), 16, top_logprobs=20)
_PASSAGE = (
    "A lighthouse is a tower with a bright light at the top, built on an important or dangerous stretch of the coast. "
    "The two main purposes of a lighthouse are to guide ships at sea and to warn them of shallow water and rocks. "
    "In the past, keepers lived in or beside the tower; they trimmed the wicks, filled the lamps with oil, wound the "
    "clockwork that turned the lens, and wrote down the weather. Today most lights run on electricity and by themselves."
)
_LONG = Request(
    (
        {"role": "system", "content": "You answer with one JSON object and nothing else."},
        {"role": "user", "content": f'{_PASSAGE}\n\nAnswer with the object {{"topic": ...}}, five words at most.'},
    ),
    24,
    json=True,
)
SENT = "a request for the list of models, and a few calls with a short text of ffmem's own (nothing of the corpus)"
"""What finding out sends."""


def probe(server: Server) -> Capabilities:
    """What a server understands: measured, kept beside the index, and used by the server from now on.

    Raises:
        InputError: it refuses even the plainest call, or does not answer.
    """
    listed = _lists(server.listed_models(), server.model)
    found, first = _fields(server)
    again, short = server.try_out(_SHORT, found, ())  # the first one may have waited for the model to be loaded
    found, answer, long = _long(server, found)
    found = replace(
        found,
        listed=listed,
        repeatable=None if first.failure or short.failure else first.text == short.text,
        max_tokens_kept=not (short.counted and short.tokens_out > _SHORT.max_tokens),
        counts_tokens=short.counted and long.counted,
    )
    found = _with_times(_with_sizes(found, short, long), (short, again.seconds), (long, answer.seconds))
    server.cache.put_capabilities(server.address.url, server.model, found)
    server.capabilities = found
    return found


def _lists(answer: Answer, model: str) -> bool:
    """Whether a model is in the list of a server's models; a server may have no list."""
    try:
        return any(one["id"] == model for one in json.loads(answer.body)["data"])
    except (ValueError, TypeError, KeyError, RecursionError):
        return False


def _fields(server: Server) -> tuple[Capabilities, Reply]:
    """Which fields a server takes, and its reply to a call with all of these: one call, unless one is refused."""
    found = Capabilities()
    answer, reply = server.try_out(_SHORT, found)
    if answer.status != 200:
        found, reply = _plainest(server)
        for name in ("temperature", "seed", "5 logprobs", "20 logprobs"):
            trial = _with(found, name)
            answer, with_it = server.try_out(_SHORT, trial)
            if answer.status == 200:
                found, reply = trial, with_it
    # A token's own probability alone says nothing of its rivals'.
    if found.logprobs == "yes" and not any(len(one.probabilities) > 1 for one in reply.token_probabilities):
        found = replace(found, logprobs="ignored")
    return found, reply


def _with(found: Capabilities, name: str) -> Capabilities:
    """The same server, if it took one more field."""
    if name == "temperature":
        return replace(found, temperature="unknown")
    if name == "seed":
        return replace(found, seed="unknown")
    return replace(found, logprobs="yes", top_logprobs=int(name.split()[0]))


def _plainest(server: Server) -> tuple[Capabilities, Reply]:
    plain = Capabilities(temperature="refused", seed="refused", logprobs="refused")
    answer, reply = server.try_out(_SHORT, plain)
    if answer.status != 200:
        plain = replace(plain, max_tokens="max_completion_tokens")
        _, reply = server.try_out(_SHORT, plain, ())
    return plain, reply


def _long(server: Server, found: Capabilities) -> tuple[Capabilities, Answer, Reply]:
    """Whether a server can be held to JSON and knows a system message, and its reply to a longer text."""
    last = replace(found, response_format="refused", system=False)
    for trial in (found, replace(found, response_format="refused"), replace(found, system=False)):
        answer, reply = server.try_out(_LONG, trial, (400, 422, 500))
        if answer.status == 200:
            found = trial
            break
    else:
        found = last
        answer, reply = server.try_out(_LONG, found, ())
    if found.response_format != "refused" and not reply.failure:
        begun = reply.finish_reason == "length" and reply.text.lstrip().startswith("{")
        followed: Support = "yes" if _is_object(reply.text) else "unknown" if begun else "ignored"
        found = replace(found, response_format=followed)
    return found, answer, reply


def _is_object(text: str) -> bool:
    try:
        return isinstance(json.loads(text), dict)
    except (ValueError, RecursionError):
        return False


def _with_sizes(found: Capabilities, short: Reply, long: Reply) -> Capabilities:
    """How many tokens a text has, from two texts of different sizes."""
    if not (short.counted and long.counted):
        return found
    per_byte = (long.tokens_in - short.tokens_in) / (_LONG.n_bytes - _SHORT.n_bytes)
    if per_byte <= 0:
        return found
    per_call = max(0.0, short.tokens_in - per_byte * _SHORT.n_bytes)
    return replace(found, tokens_per_byte=per_byte, tokens_per_call=per_call)


def _with_times(found: Capabilities, short: tuple[Reply, float], long: tuple[Reply, float]) -> Capabilities:
    """How long a token takes that is read or written, from two calls; rough."""
    per_in, per_out = seconds_per_token([(one.tokens_in, one.tokens_out, seconds) for one, seconds in (short, long)])
    return replace(found, s_per_token_in=per_in, s_per_token_out=per_out)
