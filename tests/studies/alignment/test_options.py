"""The files that the options name."""

from dataclasses import replace
from pathlib import Path

import pytest

from ffmem import InputError
from ffmem.studies.alignment.options import AlignmentOptions, hash_of, read_material
from tests.studies.alignment.conftest import GOLD, SOURCE


def test_material_is_what_the_files_say(options: AlignmentOptions) -> None:
    material = read_material(replace(options, more_source=options.source, more_target=options.source))
    assert [" ".join(pair.source) for pair in material.pairs] == SOURCE
    assert material.gold is not None and len(material.gold) == len(GOLD)
    assert material.gold[0].sure == {(0, 0)} and material.gold[0].possible == {(0, 0), (3, 1)}
    assert [name for name, _ in material.systems] == ["other"] and len(material.more) == len(SOURCE)
    assert options.to_json()["system"] == list(options.system)


def test_the_hash_is_that_of_content(options: AlignmentOptions, tmp_path: Path) -> None:
    elsewhere = tmp_path / "text.de"
    elsewhere.write_bytes(Path(options.source).read_bytes())
    whole = hash_of(read_material(options))
    assert hash_of(read_material(replace(options, source=str(elsewhere)))) == whole
    elsewhere.write_text(elsewhere.read_text().replace("fox", "cat"))
    others = [
        replace(options, source=str(elsewhere)),
        replace(options, gold=None),
        replace(options, system=()),
        replace(options, more_source=options.source, more_target=options.target),
    ]
    assert len({whole, *(hash_of(read_material(one)) for one in others)}) == 5


def test_what_a_user_can_mend() -> None:
    with pytest.raises(InputError, match="the study alignment is given no text"):
        read_material(AlignmentOptions())
