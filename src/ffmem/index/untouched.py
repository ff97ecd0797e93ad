"""A folder that a refused build leaves as it was."""

from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from shutil import rmtree

from ffmem.errors import InputError, ModelError
from ffmem.store.files import atomic_write, disk_errors
from ffmem.store.paths import StorePaths, locked


class Untouched:
    """What a folder held before a build; puts it back."""

    def __init__(self, paths: StorePaths) -> None:
        self._paths = paths
        self._made = [folder for folder in (paths.folder, *paths.folder.parents) if not folder.exists()]
        self._before = self._held()
        self._job = paths.work / "job.json"
        self._begun = self._job.read_bytes() if self._job.is_file() else None
        self.is_kept = False
        """Whether the folder now holds what another run goes on from."""

    def _held(self) -> set[Path]:
        return {
            path for folder in (self._paths.folder, self._paths.work) if folder.is_dir() for path in folder.iterdir()
        }

    def empty(self) -> None:
        """Remove what was not there, while the folder is still locked."""
        for path in sorted(self._held() - self._before, reverse=True):  # what lies in a folder before the folder
            if path.is_dir() and not path.is_symlink():
                rmtree(path, ignore_errors=True)
            else:
                path.unlink(missing_ok=True)
        if self._begun is not None and self._job.is_file() and self._job.read_bytes() != self._begun:
            atomic_write(self._job, self._begun)

    def forget(self) -> None:
        """Count what runs of this build have left as not there: none can finish it."""
        self.is_kept, self._begun = False, None
        self._before = {path for path in self._before if self._paths.work not in (path, *path.parents)}

    def remove(self) -> None:
        """Remove the folders that were not there, if they are empty."""
        with suppress(OSError):
            for folder in self._made:
                folder.rmdir()


@contextmanager
def locked_untouched(paths: StorePaths) -> Iterator[Untouched]:
    """Make a folder and hold its lock; if what follows is refused before anything is to be kept, leave no trace of it.

    Raises:
        InputError: there is a file in the folder's place.
        StoreError: another build holds the lock, or the folder cannot be written.
    """
    with disk_errors(paths.folder):
        before = Untouched(paths)
        try:
            paths.folder.mkdir(parents=True, exist_ok=True)
        except (FileExistsError, NotADirectoryError) as error:
            raise InputError(
                f"{paths.folder} cannot be a folder: {error.strerror}",
                "Expected a new or empty folder, or one with an index to resume",
                "Choose another folder with --out",
            ) from error
    try:
        with locked(paths.folder):
            try:
                yield before
            except (InputError, ModelError):
                if not before.is_kept:
                    before.empty()
                raise
    except (InputError, ModelError):
        if not before.is_kept:
            before.remove()
        raise
