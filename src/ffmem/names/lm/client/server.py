"""A language model on any server that speaks OpenAI's chat completions: asked, waited for, and never paid twice."""

import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from types import TracebackType

from ffmem.errors import InputError
from ffmem.names.lm.client.address import Address, Key
from ffmem.names.lm.client.budget import Budget
from ffmem.names.lm.client.cache import ReplyCache, StoredReply
from ffmem.names.lm.client.capabilities import Capabilities
from ffmem.names.lm.client.gate import Gate
from ffmem.names.lm.client.reply import Reply, estimated_tokens, failed_reply, read_reply, server_words
from ffmem.names.lm.client.request import Message, Request, request_body, request_identity
from ffmem.names.lm.client.transport import (
    BUSY,
    LONGEST_WAIT_S,
    TRIES,
    Answer,
    Transport,
    asked_wait_s,
    now_utc,
    wait_s,
    with_true_status,
)

MOST_IN_VAIN = 3
"""Calls one after the other that got no answer after all tries: then the server is away, and the run stops."""


class Server:
    """One model on one server; any number of threads may ask it at a time."""

    def __init__(
        self,
        address: Address,
        model: str,
        key: Key | None = None,
        *,
        cache: ReplyCache,
        budget: Budget | None = None,
        concurrency: int = 1,
        timeout_s: float = 120.0,
        retry_failed: bool = False,
        first_wait_s: float = 1.0,
        say: Callable[[str], None] = lambda _: None,
    ) -> None:
        """Connect to nothing yet.

        Args:
            address: where the server is; `check_may_send` was asked first.
            model: its name there.
            key: that the server asks for.
            cache: where answers are kept.
            budget: what may be used; None: anything.
            concurrency: calls at a time; fewer while the server is busy.
            timeout_s: for one call.
            retry_failed: ask again what was answered, but not with an answer.
            first_wait_s: before the second try; each further wait is twice as long.
            say: told in one line each time the server makes us wait.
        """
        self.address, self.model, self.cache = address, model, cache
        self.budget = budget or Budget()
        self.capabilities = cache.capabilities(address.url, model) or Capabilities()
        self.gate = Gate(concurrency)
        self._retry_failed, self._first_wait_s, self._say = retry_failed, first_wait_s, say
        self._transport = Transport(address, key, timeout_s, concurrency)
        self._asked: dict[str, threading.Lock] = {}
        self._lock = threading.Lock()
        self._in_vain = 0

    def __enter__(self) -> "Server":
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def ask(
        self,
        messages: Sequence[Message],
        max_tokens: int,
        top_logprobs: int = 0,
        json: bool = False,
        *,
        purpose: str = "",
        seed: int = 0,
    ) -> Reply:
        """The reply to some messages; see `Request` for the arguments, and `reply_to`."""
        return self.reply_to(Request(messages, max_tokens, top_logprobs, json, purpose, seed))

    def reply_to(self, request: Request) -> Reply:
        """The reply to a request, from the cache if it was ever answered; one that failed if it could not be had.

        Raises:
            InputError: the server refuses, it is away, or the budget is spent: nothing more can be asked.
            Halted: no more calls are wanted.
        """
        body = request_body(request, self.model, self.capabilities)
        identity = request_identity(self.address.url, body, request.seed)
        with self._alone(identity):
            stored = self.cache.get(identity)
            if stored is not None and not (stored.failure and self._retry_failed):
                self.budget.from_cache()
                return _reply_of(stored)
            answer, reply = self._tried(request, body)
            if answer.status == 200:
                self.cache.put(identity, self.address.url, self.model, _stored(answer, reply, request))
            return reply

    def is_answered(self, request: Request) -> bool:
        """Whether a request would be answered from the cache."""
        body = request_body(request, self.model, self.capabilities)
        return self.cache.has(request_identity(self.address.url, body, request.seed))

    def try_out(
        self, request: Request, capabilities: Capabilities, refusals: tuple[int, ...] = (400, 422)
    ) -> tuple[Answer, Reply]:
        """What a call brings, without the cache, with the fields that a server of some capabilities understands.

        An answer of one of some statuses is returned; any other refusal is raised, as always.
        """
        return self._tried(request, request_body(request, self.model, capabilities), refusals)

    def listed_models(self) -> Answer:
        """What the server answers when it is asked for its models: one call, nothing is sent with it."""
        return self._transport.call("/models")

    def halt(self) -> None:
        """Begin no more calls; those under way are still answered and kept."""
        self.gate.halt()

    def close(self) -> None:
        """Let go of all connections."""
        self.halt()
        self._transport.close()

    def _tried(self, request: Request, body: bytes, refusals: tuple[int, ...] = ()) -> tuple[Answer, Reply]:
        """The last answer to a call, after as many tries as it takes, and the reply in it."""
        tokens_in = self.tokens_in(request.n_bytes)
        for n_tries in range(1, TRIES + 1):
            with self.gate.passage() as passage:
                reserved = self.budget.reserve(tokens_in, request.max_tokens)
                answer = with_true_status(self._transport.call("/chat/completions", body))
                if answer.status == 200:
                    reply = read_reply(answer.body, request.n_bytes, cut=answer.cut)
                    self.budget.settle(
                        reserved, reply.tokens_in, reply.tokens_out, counted=reply.counted, seconds=answer.seconds
                    )
                    self.gate.went_well()
                    self._in_vain = 0
                    return answer, reply
                self.budget.give_up(reserved, may_be_paid=answer.may_be_paid, seconds=answer.seconds)
                if answer.status in refusals:
                    return answer, failed_reply(_words(answer))
                if not answer.again:
                    raise self._refusal(answer)
                rest_s = self._rest(n_tries, answer, passage)
            if rest_s is not None:
                self.gate.pause(rest_s)
        return answer, self._away(answer)

    def tokens_in(self, n_bytes: int) -> int:
        """How many tokens a prompt of so many bytes will probably have: as measured, but never less than the bytes by 4."""
        per_call, per_byte = self.capabilities.tokens_per_call, self.capabilities.tokens_per_byte
        measured = 0.0 if per_call is None or per_byte is None else per_call + per_byte * n_bytes
        return max(estimated_tokens(n_bytes), round(measured))

    def _rest(self, n_tries: int, answer: Answer, passage: int) -> float | None:
        """Seconds to wait outside before the next try; None after the last one. Where a server is busy, all calls wait."""
        asked = asked_wait_s(answer.retry_after, now_utc()) or 0.0
        if asked > LONGEST_WAIT_S:
            raise InputError(
                f"{self.address.host} asks to wait {asked / 60:,.0f} minutes: {_words(answer)}",
                f"Expected a wait of {LONGEST_WAIT_S / 60:.0f} minutes at most",
                "Continue later with the same command: what was answered is kept and is not paid for again",
            )
        rest_s = wait_s(n_tries, answer, self._first_wait_s)
        if n_tries < TRIES:
            self.budget.waited(rest_s)
            self._say(f"{_words(answer)}; trying again in {rest_s:,.0f} s ({n_tries} of {TRIES} tries)")
        if answer.status in BUSY:
            self.gate.slow_down(rest_s, passage)
            return None
        return rest_s if n_tries < TRIES else None

    def _away(self, answer: Answer) -> Reply:
        with self._lock:
            self._in_vain += 1
            n_in_vain = self._in_vain
        if n_in_vain >= MOST_IN_VAIN:
            raise InputError(
                f"{self.address.url} did not answer {n_in_vain} calls one after the other, of {TRIES} tries each: "
                f"{_words(answer)}",
                "Expected a server that answers",
                "See that it runs, and continue with the same command: what was answered is kept and is not paid for again",
            )
        return failed_reply(f"no answer after {TRIES} tries: {_words(answer)}")

    def _refusal(self, answer: Answer) -> InputError:
        if answer.status is not None and 300 <= answer.status < 400:
            return InputError(
                f"{self.address.url} sends us to another address (status {answer.status})",
                "Expected the server itself: nothing is sent to an address that you have not named",
                "Give the address that it has moved to with --server, /v1 at its end",
            )
        mend = {
            401: "Put the key into the environment (export FFMEM_API_KEY=..., or name another with --key-variable)",
            403: "See that the key may use this model",
            404: f"See that the address ends as the server's documentation says (/v1), and that it has {self.model!r}",
        }.get(answer.status or 0, "Mend what it says; what was answered so far is kept and is not paid for again")
        return InputError(
            f"{self.address.url} refuses: {_words(answer)}", "Expected it to answer chat completions", mend
        )

    @contextmanager
    def _alone(self, identity: str) -> Iterator[None]:
        """One thread at a time for each call, so that two that ask the same thing pay for it once."""
        with self._lock:
            alone = self._asked.setdefault(identity, threading.Lock())
        with alone:
            try:
                yield
            finally:
                with self._lock:
                    self._asked.pop(identity, None)


def _reply_of(stored: StoredReply) -> Reply:
    if stored.failure:
        return failed_reply(stored.failure, stored.tokens_in)
    return read_reply(stored.body, stored.n_bytes_in)


def _words(answer: Answer) -> str:
    return answer.trouble or f"status {answer.status}, {server_words(answer.body)}"


def _stored(answer: Answer, reply: Reply, request: Request) -> StoredReply:
    return StoredReply(
        body=answer.body,
        failure=reply.failure,
        n_bytes_in=request.n_bytes,
        tokens_in=reply.tokens_in,
        tokens_out=reply.tokens_out,
        counted=reply.counted,
        seconds=answer.seconds,
        purpose=request.purpose,
    )
