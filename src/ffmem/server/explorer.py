"""What one explorer shows: an index, the results of its study, further indexes, a model to ask."""

from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, TypeVar

from ffmem.errors import FfmemError, InputError
from ffmem.server.model_thread import ModelThread
from ffmem.store.reader import Index
from ffmem.studies.geva2021.findings import Findings, findings
from ffmem.studies.results import FOLDER, open_results

Result = TypeVar("Result")


@dataclass(frozen=True)
class Study:
    """Results of `ffmem reproduce` that lie beside the index, or why there are none."""

    findings: Findings | None
    folder: Path | None
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
        self.read_only = read_only
        self.index = index
        self.name = f"{index.manifest['identity']['model']['name']} on {index.manifest['identity']['corpus']['name']}"
        self.others = _named(others)
        self.model = model or ModelThread(index.manifest["identity"]["model"]["name"], None)
        self._results = results
        self._kept: dict[str, Future[Any]] = {}
        self._lock = Lock()

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
        with self._lock:
            found = self._kept.get(name)
        return found.result() if found is not None and found.done() and found.exception() is None else None

    @property
    def causal(self) -> bool:
        """Whether the model predicts the next token of a text."""
        facts = self.index.manifest["model"]
        return bool(facts["causal"]) and not facts["layers"][0]["stack"]

    @property
    def study(self) -> Study:
        """The results beside the index; read anew when a study has added some."""
        folder = self._results or self.index.folder
        beside = [self._results] if self._results else sorted((folder / FOLDER).glob("*"))
        changed = [(str(one), one.stat().st_mtime_ns) for one in beside if one.is_dir()]
        return self.kept(f"study {changed}", lambda: self._read_study(folder, bool(changed)))

    def _read_study(self, folder: Path, any_there: bool) -> Study:
        if not any_there:
            return Study(None, None, f"No experiments have been run on this index: ffmem reproduce {folder}")
        try:
            results = open_results(folder)
            return Study(findings(results, self.index), results.folder, "")
        except FfmemError as error:
            return Study(None, None, str(error))


def _named(indexes: Sequence[Index]) -> dict[str, Index]:
    """By the names of their folders, which must differ."""
    found: dict[str, Index] = {}
    for index in indexes:
        name = index.folder.resolve().name
        if name in found:
            raise InputError(
                f"two further indexes are named {name!r}: {found[name].folder} and {index.folder}",
                "Expected folders of different names",
                "Rename one of them",
            )
        found[name] = index
    return found
