"""What a server understands of what it is asked: measured once, stored, and told."""

from collections.abc import Mapping
from dataclasses import dataclass, fields
from typing import Any, Literal

from ffmem.json_values import Record

Support = Literal["yes", "ignored", "refused", "unknown"]
"""Whether a field is followed, passed over without a word, refused with an error, or was accepted and nobody knows."""


@dataclass(frozen=True)
class Capabilities(Record):
    """What a server understands of what it is asked."""

    listed: bool = False
    """Whether the server lists the model that was asked for."""
    temperature: Support = "unknown"
    seed: Support = "unknown"
    repeatable: bool | None = None
    """Whether the same question got the same answer twice, with temperature 0 and a seed."""
    logprobs: Support = "yes"
    """Whether it tells how likely its tokens were; else each answer counts as certain."""
    top_logprobs: int = 20
    """How many of the likeliest tokens it tells."""
    response_format: Support = "unknown"
    system: bool = True
    """Whether its chat has a system message; else that text begins the user's."""
    max_tokens: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    """The name that it gives the number of tokens to write."""
    max_tokens_kept: bool = True
    """Whether it wrote no more tokens than that."""
    counts_tokens: bool = False
    """Whether it says how many tokens it has read and written."""
    tokens_per_call: float | None = None
    """That each call has besides its text."""
    tokens_per_byte: float | None = None
    """Of an English text."""
    s_per_token_in: float | None = None
    s_per_token_out: float | None = None

    def sentences(self) -> list[str]:
        """What falls short, each in one sentence; nothing where all is as it should be."""
        told = []
        if not self.listed:
            told.append("the server does not list this model")
        if self.logprobs != "yes":
            told.append("it does not tell how likely its tokens were: each answer counts as certain (0 or 1)")
        elif self.top_logprobs < 20:
            told.append(f"it tells the {self.top_logprobs} likeliest tokens, not 20")
        if self.temperature == "refused" or self.repeatable is False:
            told.append("its answers differ from call to call")
        if self.response_format in ("refused", "ignored"):
            told.append("it cannot be held to JSON: what it writes is read strictly, and mended once")
        if not self.system:
            told.append("its chat has no system message: that text begins the user's")
        if not self.max_tokens_kept:
            told.append("it writes more tokens than it is asked for: a budget cannot be held to the token")
        if not self.counts_tokens:
            told.append("it does not count tokens: they are the bytes divided by 4")
        return told


def capabilities_from_json(stored: Mapping[str, Any]) -> Capabilities:
    """As `to_json` has written them, whichever version did."""
    known = {one.name for one in fields(Capabilities)}
    return Capabilities(**{name: value for name, value in stored.items() if name in known})
