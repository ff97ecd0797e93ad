"""Opens an explorer: its indexes at once, its model in the background."""

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ffmem.options import check_threads
from ffmem.server.explorer import Explorer
from ffmem.server.model_thread import ModelThread
from ffmem.store.reader import open_index

if TYPE_CHECKING:
    from ffmem.server.model_questions import ModelQuestions


def open_explorer(
    folder: str | Path,
    *,
    others: Sequence[str | Path] = (),
    model: str | None = None,
    with_model: bool = True,
    threads: int = 1,
    device: str | None = None,
    trust_remote_code: bool = False,
    results: str | Path | None = None,
    read_only: bool = False,
) -> Explorer:
    """Open an index and what belongs to it; the model is loaded in the background.

    Args:
        folder: of the index.
        others: folders of further indexes.
        model: where the model is, if not where it was when the index was built.
        with_model: False: never load one.
        threads: processors for the model.
        device: where the model runs; None: where the index was built, or on the CPU of a machine that lacks it.
        trust_remote_code: run Python code that comes with the model, where its config asks for that.
        results: the folder of a study, if the index has several.
        read_only: refuse annotations.

    Raises:
        StoreError: no index there, or damaged.
        InputError: no number of threads.
    """
    check_threads(threads)
    index = open_index(folder)

    def load() -> "ModelQuestions":
        from ffmem.server.model_questions import load_questions  # it loads torch, which pages must not wait for

        return load_questions(index, model, threads, trust_remote_code, device)

    thread = ModelThread(index.manifest.identity.model.name, load if with_model else None)
    return Explorer(
        index, [open_index(one) for one in others], thread, None if results is None else Path(results), read_only
    )
