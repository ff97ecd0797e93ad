"""The application that every command belongs to, and what the commands share."""

import json
import sys
from typing import Annotated, Any

from cyclopts import App, Parameter

from ffmem.version import __version__

app = App(
    name="ffmem",
    help="Read a Transformer's feed-forward layers as key-value memories.",
    version=__version__,
    help_format="plaintext",
    default_parameter=Parameter(negative=()),
    suppress_keyboard_interrupt=False,  # main() has a word to say
)

Json = Annotated[bool, Parameter(name="--json")]
FLAT = Parameter(name="*")
"""The fields of an options class become options of the command."""


def show(value: Any) -> None:
    """Print text as it is, anything else as one JSON document."""
    sys.stdout.write(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, indent=1))
    sys.stdout.write("\n")
