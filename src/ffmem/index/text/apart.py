"""The text of a build written by a process of its own, while others read what there is of it already."""

import multiprocessing
import signal
import traceback
from collections.abc import Iterator
from contextlib import suppress
from multiprocessing.connection import Connection
from pathlib import Path
from pickle import PicklingError

from ffmem.errors import FfmemError
from ffmem.index.interrupts import no_interrupt
from ffmem.index.parent import end_with_parent
from ffmem.index.text.writer import Readable, TextCounts, TextSource, write_text
from ffmem.options import IndexOptions
from ffmem.store.files import disk_errors


class TextProcess:
    """Writes a text as `write_text` does, and tells what of it can be read.

    It ends with this process, and with `close`.

    Args:
        folder: to be written to.
        source: the text.
        options: of the index.
        n_processes: how many prepare text beside the one that writes.

    Raises:
        PicklingError: what turns the corpus into tokens cannot be sent to a process.
    """

    def __init__(self, folder: Path, source: TextSource, options: IndexOptions, n_processes: int) -> None:
        context = multiprocessing.get_context("spawn")
        self._connection, theirs = context.Pipe()
        arguments = (folder, source, options, n_processes, theirs)
        # no daemon, since such a process could have no processes that prepare text
        self._process = context.Process(target=_main, args=arguments, name="ffmem-text")
        try:
            with no_interrupt():
                self._process.start()
        except OSError:
            raise
        except Exception as error:  # whatever a library's own object raises when it is to be sent
            raise PicklingError(str(error)) from error
        finally:
            theirs.close()

    def said(self, wait_s: float = 0.0) -> Iterator[Readable | TextCounts]:
        """What it has said since: what can be read; at last the counts of the whole text.

        Args:
            wait_s: so long is waited for the first.

        Raises:
            TextProcessDiedError: it has ended before it could say that.
            Exception: what `write_text` raises.
        """
        try:
            while self._connection.poll(wait_s):
                said = self._connection.recv()
                if isinstance(said, Exception):
                    raise said
                yield said
                wait_s = 0.0
                if isinstance(said, TextCounts):
                    return
        except (EOFError, ConnectionResetError) as error:
            raise TextProcessDiedError from error

    def close(self) -> None:
        """End it."""
        self._process.kill()
        self._process.join()
        self._connection.close()


class TextProcessDiedError(Exception):
    """The process that wrote the text was killed, or could not begin."""


def _main(folder: Path, source: TextSource, options: IndexOptions, n_processes: int, connection: Connection) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the parent ends us
    end_with_parent()
    with suppress(BrokenPipeError):  # the parent has gone
        try:
            with disk_errors(folder):
                counts = write_text(folder, source, options, n_processes=n_processes, tell=connection.send)
            connection.send(counts)
        except FfmemError as error:
            connection.send(error)
        except Exception:  # noqa: BLE001 (any bug, of a library too: sent whole, or it would be lost with this process)
            connection.send(RuntimeError(f"the process that writes the text failed:\n{traceback.format_exc()}"))
