"""Packages whose names are imported when they are first asked for: a process waits only for what it uses."""

import ast
import sys
from importlib import import_module
from pathlib import Path
from types import ModuleType
from typing import Any


class _ByNeed(ModuleType):
    """A package that knows where its names are."""

    _homes: dict[str, str]

    def __getattr__(self, name: str) -> Any:
        home = self.__dict__.get("_homes", {}).get(name)
        if home is None:
            raise AttributeError(f"module {self.__name__!r} has no attribute {name!r}")
        module, _, own = home.rpartition(".")
        found = self.__dict__[name] = getattr(import_module(module), own)
        return found

    def __setattr__(self, name: str, value: Any) -> None:
        # Python binds a module to its package when it is imported: not where a function of the package has that name
        if not (isinstance(value, ModuleType) and name in self._homes):
            super().__setattr__(name, value)

    def __dir__(self) -> list[str]:
        return sorted({*super().__dir__(), *self._homes})


def by_need(package: str) -> None:
    """Let a package import its names when they are asked for.

    They are those that its ``__init__.py`` imports under ``if TYPE_CHECKING:``, so one list serves type checkers and
    this. A name may be that of the module it comes from: it is the name's, as if all had been imported at once.

    Args:
        package: its ``__name__``, while it is being imported.
    """
    module: Any = sys.modules[package]
    tree = ast.parse(Path(module.__file__).read_text(encoding="utf-8"))
    homes: dict[str, str] = {}
    for block in tree.body:
        if isinstance(block, ast.If) and isinstance(block.test, ast.Name) and block.test.id == "TYPE_CHECKING":
            for line in block.body:
                assert isinstance(line, ast.ImportFrom), f"{package}: not an import of names"
                homes |= {name.asname or name.name: f"{line.module}.{name.name}" for name in line.names}
    module.__dict__["_homes"] = homes
    module.__class__ = _ByNeed
