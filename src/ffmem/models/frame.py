"""The special tokens that a tokenizer puts around a text of its own accord: proved on many texts, never guessed from one."""

from collections.abc import Iterable
from typing import Any, NamedTuple

from ffmem.errors import ModelError
from ffmem.models.samples import sample_sentences


class Frame(NamedTuple):
    """Ids around the own tokens of every text."""

    prefix: tuple[int, ...]
    suffix: tuple[int, ...]


def frame_of(tokenizer: Any) -> Frame:
    """What a tokenizer's own call puts before and after the tokens of a text.

    Args:
        tokenizer: a fast tokenizer of transformers.

    Raises:
        ModelError: no ids stand around every text in the same way, so that there is no telling where a text's own tokens
            are.
    """
    texts = sample_sentences(tokenizer)
    if not texts:
        raise ModelError(
            "this model's tokenizer finds no token in any of our sample texts, nor in the texts of its own tokens",
            "Expected a tokenizer with a vocabulary",
            "Save the tokenizer that the model was trained with into its folder",
        )
    frames: set[Frame] | None = None
    for text in texts:
        possible = set(_possible(tokenizer, text))
        frames = possible if frames is None else frames & possible
        if not frames:
            raise _no_frame(tokenizer, text)
    assert frames is not None
    if len(frames) == 1:
        return next(iter(frames))
    return _by_its_own_mask(tokenizer, texts[0], frames)


def _possible(tokenizer: Any, text: str) -> Iterable[Frame]:
    """Every frame that would explain the ids of one text: several where its tokens repeat."""
    own = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).ids
    whole = tokenizer(text).input_ids
    for start in range(len(whole) - len(own) + 1):
        if whole[start : start + len(own)] == own:
            yield Frame(tuple(whole[:start]), tuple(whole[start + len(own) :]))


def _by_its_own_mask(tokenizer: Any, text: str, frames: set[Frame]) -> Frame:
    """Of frames that explain all texts equally, the one that the tokenizer marks as not being the text's."""
    mask = tokenizer.backend_tokenizer.encode(text).special_tokens_mask
    n_prefix = next((place for place, special in enumerate(mask) if not special), 0)
    for frame in frames:
        if len(frame.prefix) == n_prefix:
            return frame
    raise _no_frame(tokenizer, text)


def _no_frame(tokenizer: Any, text: str) -> ModelError:
    own = tokenizer.backend_tokenizer.encode(text, add_special_tokens=False).tokens
    whole = tokenizer.convert_ids_to_tokens(tokenizer(text).input_ids)
    return ModelError(
        f"this model's tokenizer puts no constant special tokens around a text: {_short(text)!r} has the tokens "
        f"{_short(' '.join(own))!r}, and the tokenizer's own call gives {_short(' '.join(map(str, whole)))!r}",
        "Expected the same tokens before every text, and the same after it",
        "Write --bos no to read texts without any, or save a tokenizer with such a template into the folder",
    )


def _short(text: str, longest: int = 80) -> str:
    return text if len(text) <= longest else f"{text[:longest]}..."
