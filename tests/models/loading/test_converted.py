"""Where converted models lie."""

from pathlib import Path

import pytest

from ffmem.models.loading.converted import cache_folder


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        ({"FFMEM_CACHE": "/a", "XDG_CACHE_HOME": "/b"}, Path("/a")),
        ({"FFMEM_CACHE": "", "XDG_CACHE_HOME": "/b"}, Path("/b/ffmem")),
        ({"HOME": "/h"}, Path("/h/.cache/ffmem")),
    ],
)
def test_where_converted_models_lie(chosen: dict[str, str], expected: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("FFMEM_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in chosen.items():
        monkeypatch.setenv(name, value)
    assert cache_folder() == expected
