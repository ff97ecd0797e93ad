"""The verbs of the command line: each public function of a module here is one, and is one by being here.

A module is imported only when one of its verbs is called, so it imports what it needs at its top: `ffmem cell` waits for
no model library because verbs/read.py needs none. What `ffmem --help` says of a verb is read from the module's text.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from inspect import cleandoc
from pathlib import Path

from cyclopts import App

_GROUP = re.compile(r"^([a-z]\w*) = App\(", re.MULTILINE)
"""A module that has an application of its own is one verb with verbs below it, such as `ffmem annotate`."""
_VERB = re.compile(r'^def ([a-z]\w*)\([\s\S]*?\n    """([\s\S]+?)(?:"""|\n+ *Parameters\n)', re.MULTILINE)


@dataclass(frozen=True)
class Verb:
    """A command, as it is known before its module is imported."""

    name: str
    path: str
    """module:object"""
    help: str


def verbs(folder: Path = Path(__file__).parent, package: str = __name__) -> Iterator[Verb]:
    """The verbs of a folder of modules, by the names of the modules and then as they stand in them."""
    for file in sorted(folder.glob("[a-z]*.py")):
        text = file.read_text(encoding="utf-8")
        group = _GROUP.search(text)
        found = [(group[1], text.split('"""')[1])] if group else _VERB.findall(text)
        for name, docstring in found:
            # map_ and import_ are named so because Python has those words for itself
            command = name.rstrip("_").replace("_", "-")
            yield Verb(command, f"{package}.{file.stem}:{name}", cleandoc(docstring))


def register(app: App) -> None:
    """Make all verbs commands of an application."""
    for verb in verbs():
        app.command(verb.path, name=verb.name, help=verb.help)
