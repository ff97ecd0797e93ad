"""A text that a user writes -> the one token of a model that it names."""

import re

from ffmem.errors import InputError
from ffmem.models.transformer import Transformer
from ffmem.models.vocabulary import display, spellings


def one_token(model: Transformer, text: str) -> int:
    """The id of the token that a text names.

    Of the ways to name one, the first that fits counts: ``id:314``; a text of which the tokenizer makes exactly one token; the
    text that exactly one token stands for, a space before it included; a token as the tokenizer itself writes it, such as
    ``▁the``, ``Ġthe``, ``##ing``, ``the</w>`` or ``<0x0A>``.

    Raises:
        InputError: it names none, or several, which the message shows.
    """
    vocabulary, tokenizer = model.vocabulary, model.tokenizer
    by_id = re.fullmatch(r"id:([0-9]{1,9})", text)
    if by_id is not None and int(by_id[1]) < len(vocabulary):
        return int(by_id[1])
    ids = _tokens_of(model, text)
    if len(ids) == 1 and (ids[0] != tokenizer.unk_token_id or text == tokenizer.unk_token):
        return ids[0]
    same = [number for number, token in enumerate(vocabulary) if display(token) == text] if text else []
    if len(same) == 1:
        return same[0]
    piece = tokenizer.get_vocab().get(text)
    if piece is not None:
        return int(piece)
    if same:
        raise InputError(
            f"{len(same)} tokens have the text {text!r}",
            f"Expected one of: {', '.join(f'id:{one}' for one in same)}",
            f"Write id:{same[0]}",
        )
    unknown = len(ids) == 1
    shown = ", ".join(repr(display(vocabulary[number])) for number in ids)
    raise InputError(
        f"{text!r} is not a token: the tokenizer turns it into the unknown token, {shown}"
        if unknown
        else f"{text!r} is {len(ids)} tokens: {shown or 'none'}",
        "Expected exactly one token of the vocabulary, as text or as the tokenizer writes it, or an id from "
        f"id:0 to id:{len(vocabulary) - 1}",
        _suggestion(model, text, [] if unknown else ids),
    )


def _tokens_of(model: Transformer, text: str) -> list[int]:
    try:
        text.encode()
    except UnicodeEncodeError:  # bytes of a command line that are no UTF-8
        return []
    return [int(number) for number in model.tokenizer(text, add_special_tokens=False).input_ids]


def _suggestion(model: Transformer, text: str, ids: list[int]) -> str:
    known = {display(token) for token in model.vocabulary}
    near = next((one for one in spellings(text) if one in known), None)
    if near is not None:
        return f"Write {near!r}"
    first = f"; its first token alone is id:{ids[0]}" if ids else ""
    return f"Mind the space before a word, which most vocabularies count in: ' Paris'{first}"
