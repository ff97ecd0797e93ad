"""What a user writes for a token or for some layers -> numbers."""

import re

from ffmem.errors import InputError
from ffmem.ids import CellSpace
from ffmem.models.vocabulary import spellings
from ffmem.store.reader import Index


def token_id(index: Index, token: str) -> int:
    """The id of the one token of the vocabulary with exactly this text.

    Args:
        index: an opened index.
        token: its text, spaces included (`` January``); or as the tokenizer writes it (``▁January``, ``ĠJanuary``, ``##ing``,
            ``<0x0A>``); or ``id:314``, for tokens that share their text with others.

    Raises:
        InputError: it is no token; the message shows the tokens that it consists of.
    """
    token = storable(token)
    by_id = re.fullmatch(r"id:(\d{1,9})", token, re.ASCII)
    d_vocab = len(index.text.vocabulary)
    if by_id is not None and int(by_id[1]) < d_vocab:
        return int(by_id[1])
    found = index.text.token_ids_of(token)
    if len(found) == 1:
        return found[0]
    if found:
        raise InputError(
            f"{len(found)} tokens have the text {token!r}",
            f"Expected one of: {', '.join(f'id:{one}' for one in found)}",
            f"Write id:{found[0]}",
        )
    piece = index.text.token_id_of_piece(token)
    if piece is not None and piece < d_vocab:
        return piece
    raise InputError(
        f"{token!r} is not one token: the model's tokenizer turns it into {_pieces(index, token)}",
        f"Expected exactly one of the {d_vocab:,} tokens of the vocabulary, with its spaces or as the tokenizer writes it",
        f"Write {_suggestion(index, token)!r}",
    )


def _pieces(index: Index, text: str) -> str:
    return " ".join(f"⟨{piece}⟩" for piece in index.text.token_strings(index.text.tokenize(text))) or "nothing"


def _suggestion(index: Index, text: str) -> str:
    """Another spelling of it, if that is a token, or the first piece."""
    candidates = [*spellings(text), *index.text.token_strings(index.text.tokenize(text))]
    return next((one for one in candidates if index.text.token_ids_of(one)), "id:0")


def storable(text: str) -> str:
    """Text from a command line in a form that SQLite takes: bytes that are no UTF-8 become ``?``, NUL a space."""
    return text.encode(errors="replace").decode().replace("\0", " ")


def places(index: Index, layer: str | int | None) -> range:
    """The layers that a text names, by their places in the index.

    Args:
        index: an opened index.
        layer: a place in the model (``9``) or a name (``L9``, ``dec.L3``); a range of them without its end, as in Python
            (``10:``, ``:5``, ``3:7``), of which those that the index has count; or a dictionary (``L9.tc16k``); None for all.

    Raises:
        InputError: no such layer, an empty range, or nothing of it in the index.
    """
    if layer is None:
        return range(index.n_layers)
    model = index.cells.whole
    n_layers = sum(not one.dictionary for one in model.layers)
    first, colon, end = str(layer).partition(":")
    if not colon:
        place = index.cells.parse_layer(model.layers[_place(model, first, n_layers - 1)].name)
        return range(place, place + 1)
    found = range(
        _place(model, first, n_layers) if first.strip() else 0,
        _place(model, end, n_layers) if end.strip() else n_layers,
    )
    if not found:
        raise InputError(
            f"the range of layers {layer} is empty",
            f"Expected a range within 0:{n_layers}, whose end is left out",
            f"Write --layer 0:{n_layers}",
        )
    here = [place for place in range(index.n_layers) if index.cells.whole_place(place) in found]
    if not here:
        raise InputError(
            f"no layer of {layer} is in this index, which has {index.cells.describe()}",
            "Expected a range with one of its layers",
            f"Write --layer 0:{n_layers} for all that it has",
        )
    return range(here[0], here[-1] + 1)


def _place(model: CellSpace, text: str, largest: int) -> int:
    text = text.strip()
    if re.fullmatch(r"\d{1,9}", text, re.ASCII) and int(text) <= largest:
        return int(text)
    return model.parse_layer(text)
