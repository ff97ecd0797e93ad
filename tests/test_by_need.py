"""Packages that import their names when they are asked for."""

import subprocess
import sys
from pathlib import Path

import pytest

INIT = """
from typing import TYPE_CHECKING

from ffmem.by_need import by_need

if TYPE_CHECKING:
    from house.door import Lock as Key, door
    from house.window import window

by_need(__name__)
"""


def _run(folder: Path, code: str) -> list[str]:
    """What a new process prints that has a package ``house`` of two modules; a function is named as its module."""
    (folder / "house").mkdir()
    (folder / "house" / "__init__.py").write_text(INIT)
    (folder / "house" / "door.py").write_text("class Lock: ...\ndef door(): return 'a door'\n")
    (folder / "house" / "window.py").write_text("def window(): return 'a window'\n")
    code = f"import sys\nsys.path.insert(0, {str(folder)!r})\n{code}"
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.splitlines()


def test_nothing_is_imported_before_it_is_asked_for(tmp_path: Path) -> None:
    said = _run(
        tmp_path,
        "import house\nprint('house.door' in sys.modules)\nprint(house.door())\n"
        "print('house.door' in sys.modules, 'house.window' in sys.modules)",
    )
    assert said == ["False", "a door", "True False"]


@pytest.mark.parametrize(
    "before", ["import house.door", "from house.door import Lock", "import house.window, house.door"]
)
def test_a_name_is_no_module_whichever_came_first(tmp_path: Path, before: str) -> None:
    said = _run(
        tmp_path,
        f"{before}\nimport house\nfrom house import door, window\nimport house.door\n"
        "print(door(), window(), house.door(), house.Key is sys.modules['house.door'].Lock)",
    )
    assert said == ["a door a window a door True"]


def test_what_is_not_there_is_no_attribute(tmp_path: Path) -> None:
    said = _run(tmp_path, "import house\nprint(hasattr(house, 'roof'), 'Key' in dir(house), 'window' in dir(house))")
    assert said == ["False True True"]


@pytest.mark.parametrize("package", ["ffmem", "ffmem.queries", "ffmem.render"])
def test_every_public_name_is_there(package: str) -> None:
    module = __import__(package, fromlist=["__all__"])
    assert set(module.__all__) - {"__version__"} <= set(dir(module))
    for name in module.__all__:
        found = getattr(module, name)
        assert type(found).__name__ != "module", name
