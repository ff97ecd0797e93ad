"""What one explorer shows: an index, the results of its study, further indexes, a model to ask."""

import os
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from ffmem.errors import FfmemError, InputError
from ffmem.server.kept_answers import state_beside
from ffmem.server.model_thread import ModelThread
from ffmem.server.sharing.visitors import may_write
from ffmem.store.identity import identity_id
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index
from ffmem.studies.report import Report, report_of
from ffmem.studies.results import Results, open_results, results_in

Result = TypeVar("Result")
PATTERNS_STUDY = "geva2021"
"""The study that looks for what triggers share."""


@dataclass(frozen=True)
class Studies:
    """Results of studies that lie beside the index, or why there are none."""

    results: tuple[Results, ...]
    """Those of Geva et al. first, and of one study the newest first."""
    why: str
    """Empty if there are some."""


class Explorer:
    """An index, opened, and what belongs to it.

    Args:
        index: what is shown.
        others: further indexes, for comparison.
        model: the model, in its thread.
        results: the folder of a study, if the index has several.
        read_only: refuse annotations.
    """

    def __init__(
        self,
        index: Index,
        others: Sequence[Index] = (),
        model: ModelThread | None = None,
        results: Path | None = None,
        read_only: bool = False,
    ) -> None:
        self._read_only = read_only
        self.index = index
        self.name = f"{index.manifest.identity.model.name} on {index.manifest.identity.corpus.name}"
        self.others = _named(others)
        self.model = model or ModelThread(index.manifest.identity.model.name, None)
        self._results = results
        self._kept: dict[str, Future[Any]] = {}
        self._wanted: set[str] = set()
        self._lock = Lock()
        self.warming = False
        """Whether what pages need is being made in the background: meanwhile they show what there is."""

    def kept(self, name: str, make: Callable[[], Result]) -> Result:
        """What is made once, since an index never changes: by the first who asks, while others wait for it."""
        with self._lock:
            mine = name not in self._kept
            if mine:
                self._kept[name] = Future()
            found: Future[Result] = self._kept[name]
        if mine:
            try:
                found.set_result(make())
            except BaseException as error:  # noqa: BLE001 (who waits gets the same)
                with self._lock:
                    del self._kept[name]  # the next one tries again
                found.set_exception(error)
        return found.result()

    def ready(self, name: str) -> Any:
        """What `kept` has made, or None while nobody has."""
        self._wanted.add(name)
        with self._lock:
            found = self._kept.get(name)
        return found.result() if found is not None and found.done() and found.exception() is None else None

    @property
    def read_only(self) -> bool:
        """Whether the one who asks may only read."""
        return self._read_only or not may_write()

    def check_writable(self) -> None:
        """Refuse to write where that is not wanted.

        Raises:
            InputError: this explorer, or this visitor, only reads.
        """
        if self.read_only:
            raise InputError(
                "this explorer is read-only",
                "Expected one that may write",
                "Ask whoever started it: it is written to without --read-only, and with --writable where it is shared",
            )

    def state(self) -> object:
        """Equal as long as pages that only read would be the same."""
        folders = {self.index.folder, self._results or self.index.folder}
        beside = tuple(state_beside(one) for one in sorted(folders))
        made = frozenset(name for name in tuple(self._wanted) if self.ready(name) is not None)
        return beside, made, self.model.state.state, self.warming

    @cached_property
    def index_id(self) -> str:
        """What a browser keeps of one index, it must not show of another at the same address."""
        return identity_id(self.index.manifest.identity.json)

    @property
    def causal(self) -> bool:
        """Whether the model predicts the next token of a text."""
        return self.index.manifest.model.predicts_next_token

    @property
    def has_collections(self) -> bool:
        """Whether there are named lists of cells."""
        return any(StorePaths(self.index.folder).collections.glob("*.json"))

    @property
    def studies(self) -> Studies:
        """The results beside the index; looked for anew when a study has added some."""
        changed = [
            (str(folder), folder.stat().st_mtime_ns) for folder in results_in(self._results or self.index.folder)
        ]
        return self.kept(f"studies {changed}", lambda: self._read_studies([Path(folder) for folder, _ in changed]))

    def _read_studies(self, folders: list[Path]) -> Studies:
        if not folders:
            return Studies((), f"No experiments have been run on this index: ffmem reproduce {self.index.folder}")
        try:
            newest = sorted(folders, key=lambda folder: -folder.stat().st_mtime_ns)
            results = sorted(map(open_results, newest), key=lambda one: (one.study != PATTERNS_STUDY, one.study))
            return Studies(tuple(results), "")
        except FfmemError as error:
            return Studies((), str(error))

    @property
    def patterns_folder(self) -> Path | None:
        """The results that say what triggers share; None if nobody has looked for that."""
        return next((one.folder for one in self.studies.results if one.study == PATTERNS_STUDY), None)

    def report(self, key: str = "", wait: bool = True) -> Report | None:
        """What a study came to so far.

        Args:
            key: of its results; the first if empty.
            wait: False: None where it has not been made yet, which takes seconds the first time.

        Raises:
            InputError: there are none with this key.
            StoreError: they are damaged.
        """
        results = self.studies.results
        chosen = [one for one in results if not key or one.key == key]
        if key and not chosen:
            keys = ", ".join(one.key for one in results)
            raise InputError(
                f"there are no results {key[:100]!r}", f"Expected one of: {keys or 'none yet'}", "See /figures"
            )
        if not chosen:
            return None
        written = max((path.stat().st_mtime_ns for path in chosen[0].folder.glob("*.json")), default=0)
        name = f"report {chosen[0].key} {written}"
        if not wait:
            made: Report | None = self.ready(name)
            return made
        return self.kept(name, lambda: report_of(chosen[0]))


def _named(indexes: Sequence[Index]) -> dict[str, Index]:
    """By the names of their folders, which must differ; an address has no room for bytes that are no UTF-8."""
    found: dict[str, Index] = {}
    for index in indexes:
        name = os.fsencode(index.folder.resolve().name).decode("utf-8", "backslashreplace")
        if name in found:
            raise InputError(
                f"two further indexes are named {name!r}: {found[name].folder} and {index.folder}",
                "Expected folders of different names",
                "Rename one of them",
            )
        found[name] = index
    return found
