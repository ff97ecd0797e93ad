"""The smallest budget that a model can be streamed with."""

import re
from pathlib import Path

import pytest

import ffmem
from ffmem import InputError


def smallest_budget(folder: Path, dtype: str = "float32") -> int:
    """Bytes, as the refusal of one byte tells them."""
    with pytest.raises(InputError) as refused:
        ffmem.load_model(folder, dtype=dtype, model_memory=1, proved=False)  # type: ignore[arg-type]
    told = re.search(r"at least ([\d,]+) bytes", str(refused.value))
    assert told is not None
    return int(told[1].replace(",", ""))
