"""Options of the study are checked."""

import pytest

from ffmem import InputError
from ffmem.studies.geva2021.options import StudyOptions


def test_options_are_checked() -> None:
    with pytest.raises(InputError, match="--prefixes is 0"):
        StudyOptions(prefixes=0)
    with pytest.raises(InputError, match="--edited-cells is True"):
        StudyOptions(edited_cells=True)
    assert StudyOptions(scored_cells=0).to_json()["scored_cells"] == 0
