"""How probable a model finds an answer behind a prompt: all of its tokens, each at its own position."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from ffmem.errors import InputError
from ffmem.models.inputs import as_row, check_length, longest_input, padded_rows, tokenize
from ffmem.models.transformer import Transformer

_ROWS = 16
"""Of a batch: their scores over the vocabulary are held at once."""
_LOOKED_AT = 100
"""Most probable tokens among which an answer is looked for."""


@dataclass(frozen=True)
class Asked:
    """A prompt with an answer, as one input."""

    ids: tuple[int, ...]
    """Special tokens included."""
    at: tuple[int, ...]
    """Positions whose scores say what comes next, or what stands under the mask."""
    targets: tuple[int, ...]
    """The answer's tokens, one for each of those positions."""
    key: int
    """The position that an edit is made at: the last token of the subject; without one, of the prompt."""


def joined(prompt: str, answer: str) -> str:
    """A prompt and its answer as one text, with a space between them if neither brings one."""
    return prompt + answer if prompt[-1:].isspace() or answer[:1].isspace() else f"{prompt} {answer}"


def asked(model: Transformer, prompt: str, answer: str, subject: str = "", before: str = "") -> Asked:
    """A prompt and an answer as a model reads them.

    Prompt and answer are cut into tokens together, as they would be in a text. A model that is not causal is asked for one
    token, where the prompt has its mask, and edits of it are made there.

    Args:
        model: with a head.
        prompt: what is asked.
        answer: what is held against it.
        subject: a part of the prompt.
        before: a text that stands before the prompt.

    Raises:
        InputError: the text is too long, or a token of it is half prompt, half answer; or a model that is not causal finds no
            mask, or an answer of several tokens.
    """
    if not model.facts.causal:
        return _under_mask(model, before + prompt, answer)
    start = before + prompt.rstrip()
    own = tokenize(model, joined(start, answer.strip()))
    special, _ = model.special_tokens("auto")
    check_length(start, len(own.ids), longest_input(model) - len(special))
    first = next((number for number, (_, end) in enumerate(own.spans) if end > len(start)), len(own.ids))
    begins_inside = first < len(own.ids) and own.spans[first][0] < len(start)
    if (first == 0 and not special) or begins_inside:
        raise InputError(
            f"a token of {joined(start, answer.strip())!r} begins in the prompt and ends in the answer",
            "Expected an answer that begins with a token of its own",
            "End the prompt with a whole word",
        )
    targets = own.ids[first:]
    n = len(special)
    at = tuple(range(n + first - 1, n + len(own.ids) - 1))
    end = len(before) + prompt.rfind(subject) + len(subject) if subject else len(start)
    key = max(number for number, (begin, _) in enumerate(own.spans[:first]) if begin < end)
    return Asked((*special, *own.ids), at, targets, n + key)


def _under_mask(model: Transformer, prompt: str, answer: str) -> Asked:
    mask = model.tokenizer.mask_token
    own, (special, after) = tokenize(model, prompt), model.special_tokens("auto")
    check_length(prompt, len(own.ids), longest_input(model) - len(special) - len(after))
    places = [number for number, one in enumerate(own.ids) if one == model.tokenizer.mask_token_id]
    targets = tokenize(model, f" {answer.strip()}").ids
    if mask is None or len(places) != 1 or len(targets) != 1:
        raise InputError(
            f"{model.facts.name} does not predict the next token of a text; the prompt {prompt!r} has {len(places)} masks and "
            f"the answer {answer!r} {len(targets)} tokens",
            f"Expected one {mask or 'mask token'} in the prompt, and an answer of one token",
            "Write the mask where the answer is to stand, or use a causal model",
        )
    place = len(special) + places[0]
    return Asked((*special, *own.ids, *after), (place,), targets, place)


def batches(
    model: Transformer, rows: Sequence[Asked]
) -> Iterator[tuple[list[int], Int[Tensor, "batch positions"], Int[Tensor, "batch positions"] | None]]:
    """Rows as batches that the model may run, with their numbers and the attention mask; longer ones together."""
    order = sorted(range(len(rows)), key=lambda number: len(rows[number].ids))
    first = 0
    while first < len(order):
        some = order[first : first + (_ROWS if model.batching.rows != "alone" else 1)]
        if model.batching.rows == "equal-length":
            some = [number for number in some if len(rows[number].ids) == len(rows[some[0]].ids)]
        first += len(some)
        if len(some) == 1:
            yield some, as_row(model, rows[some[0]].ids), None
            continue
        ids, mask = padded_rows([rows[number].ids for number in some], (), (), model.pad_id)
        yield some, torch.from_numpy(ids).to(model.device), torch.from_numpy(mask)


def answer_scores(logits: Float[Tensor, "batch positions d_vocab"], rows: Sequence[Asked]) -> Float[Tensor, "batch"]:
    """Ln P(answer) of the rows of a batch: the sum over the answer's tokens."""
    found = []
    for one, scores in zip(rows, logits, strict=True):
        log_p = scores[list(one.at)].float().log_softmax(-1)
        found.append(log_p.gather(1, torch.tensor([one.targets], device=log_p.device).T).sum())
    return torch.stack(found)


def own_logits(
    model: Transformer, ids: Int[Tensor, "batch positions"], mask: Int[Tensor, "batch positions"] | None
) -> Float[Tensor, "batch positions d_vocab"]:
    """The model's own scores."""
    logits = model.logits(ids, mask)
    assert logits is not None  # who edits has checked that there is a head
    return logits


def log_probabilities(model: Transformer, rows: Sequence[Asked]) -> Float[Tensor, "rows"]:
    """Ln P(answer | prompt) of each row, without gradients."""
    found = torch.zeros(len(rows))
    with torch.no_grad():
        for some, ids, mask in batches(model, rows):
            scores = answer_scores(own_logits(model, ids, mask), [rows[number] for number in some])
            found[some] = scores.cpu()
    return found


def most_probable(model: Transformer, prompts: Sequence[str]) -> list[str]:
    """The most probable next token behind each prompt, or under its mask, as text."""
    return [str(model.tokenizer.decode([int(one[0])])) for one in _ranked(model, prompts)]


def first_answers(model: Transformer, prompts: Sequence[str]) -> list[str]:
    """The most probable answer behind each prompt that is a token of its own there: no punctuation that is cut otherwise.

    Raises:
        InputError: none of the most probable tokens is one.
    """
    found = []
    for prompt, ranked in zip(prompts, _ranked(model, prompts), strict=True):
        told = ((int(one), str(model.tokenizer.decode([int(one)])).strip()) for one in ranked)
        own = (text for token, text in told if text and _is_answer(model, prompt, text, token))
        answer = next(own, None)
        if answer is None:
            raise InputError(
                f"none of the {_LOOKED_AT} most probable tokens behind {prompt!r} stands as an answer of one token",
                "Expected an old answer that the new one is held against",
                "Write --old ANSWER",
            )
        found.append(answer)
    return found


def _is_answer(model: Transformer, prompt: str, text: str, token: int) -> bool:
    try:
        return asked(model, prompt, text).targets == (token,)
    except InputError:
        return False


def _ranked(model: Transformer, prompts: Sequence[str]) -> list[Int[Tensor, "most"]]:
    """The most probable tokens behind each prompt, the first first."""
    rows = [_open(model, prompt) for prompt in prompts]
    found: dict[int, Tensor] = {}
    with torch.no_grad():
        for some, ids, mask in batches(model, rows):
            logits = own_logits(model, ids, mask)
            for number, scores in zip(some, logits, strict=True):
                at = scores[rows[number].at[-1]]
                found[number] = at.topk(min(_LOOKED_AT, len(at))).indices.cpu()
    return [found[number] for number in range(len(rows))]


def _open(model: Transformer, prompt: str) -> Asked:
    """A prompt whose answer is not known."""
    special, after = model.special_tokens("auto")
    own = tokenize(model, prompt.rstrip())
    if model.facts.causal:
        check_length(prompt, len(own.ids), longest_input(model) - len(special))
        ids = (*special, *own.ids)
        return Asked(ids, (len(ids) - 1,), (0,), len(ids) - 1)
    places = [number for number, one in enumerate(own.ids) if one == model.tokenizer.mask_token_id]
    if len(places) != 1:
        raise InputError(
            f"the prompt {prompt!r} has {len(places)} masks, and {model.facts.name} does not predict the next token",
            f"Expected one {model.tokenizer.mask_token} in the prompt",
            "Write the mask where the answer is to stand, or use a causal model",
        )
    place = len(special) + places[0]
    return Asked((*special, *own.ids, *after), (place,), (0,), place)
