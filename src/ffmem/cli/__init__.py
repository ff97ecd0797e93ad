"""Arguments -> queries -> text. No arithmetic; a verb's module, and what it needs, is imported when the verb is called."""

import atexit
import gc
import io
import re
import sys
import traceback

from cyclopts import CycloptsError

from ffmem import render
from ffmem.cli.app import app
from ffmem.cli.verbs import register
from ffmem.errors import FfmemError, InputError
from ffmem.foreign import bug, explained

__all__ = ["app", "main", "reference"]

register(app)


def main() -> None:
    """Entry point: exit 2 for what the user can mend, 1 for other errors, 130 for Ctrl-C."""
    atexit.register(gc.freeze)  # the system takes back what is left, sooner than Python looks through it for cycles
    arguments = [argument for argument in sys.argv[1:] if argument != "--debug"]
    for stream in (sys.stdout, sys.stderr):  # a file's name need not be text
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")
    try:
        app(arguments, exit_on_error=False)
    except CycloptsError:  # it has been printed
        sys.exit(2)
    except FfmemError as error:
        if "--debug" in sys.argv:
            traceback.print_exc()
        print(f"ffmem: {render.one_line(str(error))}", file=sys.stderr)
        sys.exit(2 if isinstance(error, InputError) else 1)
    except KeyboardInterrupt:
        print("ffmem: stopped. Run the same command again to resume from the last checkpoint.", file=sys.stderr)
        sys.exit(130)
    except BrokenPipeError:  # `ffmem cells ... | head`
        sys.stderr.close()
        sys.exit(141)
    except Exception as error:  # noqa: BLE001 (a last resort: what libraries raise, and our own bugs, without a traceback)
        if "--debug" in sys.argv:
            traceback.print_exc()
        known = explained(error)
        print(f"ffmem: {render.one_line(bug(error) if known is None else str(known))}", file=sys.stderr)
        sys.exit(2 if isinstance(known, InputError) else 1)


def reference() -> str:
    """The command reference, docs/reference/cli.md, made from the commands themselves."""
    text: str = app.generate_docs(output_format="markdown")
    # started as `python -m something`, cyclopts puts that into the usage lines
    return re.sub(r"^(ffmem(?: \w[\w-]*)*) -m \S+ ", r"\1 ", text.rstrip(), flags=re.MULTILINE) + "\n"
