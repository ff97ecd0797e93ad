"""The page on families lists what the zoo of architectures shows, and no class that transformers does not have."""

import re
from pathlib import Path

import transformers

from ffmem.models.registry import FAMILIES

_PAGE = Path(__file__).parents[3] / "docs" / "reference" / "families.md"


def test_the_page_lists_classes_that_no_file_names() -> None:
    text = _PAGE.read_text()
    table = text[text.index("## By structure") : text.index("## `gpt2`")]
    listed = re.findall(r"^\| (\w+) \| .* \| (?:yes|no) \|$", table, re.MULTILINE)
    assert len(listed) >= 95 and len(set(listed)) == len(listed)
    assert not [name for name in listed if not hasattr(transformers, name)]
    assert not {name for family in FAMILIES for name in family.architectures} & set(listed)
