"""A question that transformers asks the device about each batch, and that need not be asked about ours."""

from collections.abc import Iterator
from contextlib import contextmanager

from transformers import masking_utils

_NAME = "find_packed_sequence_indices"


@contextmanager
def one_text_a_row() -> Iterator[None]:
    """Inside, no model asks whether a row of its input holds several texts: each holds one, from its first position on.

    To ask is to make the host wait until the device has done all that was given to it before. The answer would be None.
    """
    ask = getattr(masking_utils, _NAME, None)
    if ask is None:  # another version of transformers, which may not ask
        yield
        return
    setattr(masking_utils, _NAME, lambda position_ids: None)
    try:
        yield
    finally:
        setattr(masking_utils, _NAME, ask)
