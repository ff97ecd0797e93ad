"""Runs a study for a verb: what the user named becomes its subject, and what it finds a page."""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Annotated, Any

from ffmem import render
from ffmem.cli.app import FLAT
from ffmem.cli.loading import load
from ffmem.cli.options import ModelOptions, MovedModel, Quiet
from ffmem.corpus.registry import open_corpus
from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.index.build import build_index
from ffmem.index.indexed_model import load_indexed_model
from ffmem.models.threads import torch_threads
from ffmem.models.transformer import Transformer
from ffmem.options import IndexOptions, RunOptions
from ffmem.store.paths import StorePaths
from ffmem.store.reader import Index, open_index
from ffmem.studies.page import write_page
from ffmem.studies.report import Report, report_of
from ffmem.studies.runner import run_study
from ffmem.studies.study import Study, Subject

_OF_THE_MODEL = ("revision", "dtype", "architecture", "patch")
"""Options that say which model is meant, where no index does."""


@dataclass(frozen=True)
class StudyRun:
    """What every study takes beside its own options."""

    out: str | None = None
    """Folder of the index that is built, or of the results of a study that needs no index."""
    model: MovedModel = None
    max_tokens: int | None = None
    """Of an index that is built: stop before it has more tokens than this."""
    field: str = "text"
    """Where the rows of a corpus have fields, the one that holds the text."""
    encoding: str = "utf-8"
    """Of the files of text that are read, as for `ffmem index`."""
    no_controls: bool = False
    """Leave out the controls, such as the untrained model, whose numbers stand beside."""
    quiet: Quiet = False
    loading: Annotated[ModelOptions, FLAT] = ModelOptions()  # noqa: RUF009 (frozen)


@dataclass(frozen=True)
class Named:
    """What a user named: an index, or a model with its texts."""

    study: Study[Any]
    source: str
    texts: tuple[str, ...]
    run: StudyRun

    @cached_property
    def index(self) -> Index | None:
        """The index that is studied, made if the study needs one; None if a model is studied without."""
        if StorePaths(Path(self.source)).manifest.exists():
            self._check_of_index()
            if not (self.texts and self.study.needs_index):
                self._check_out()
                return open_index(self.source)
        if not self.study.needs_index:
            return None
        if self.texts:
            return self._built()
        if not Path(self.source).exists() or (Path(self.source) / "config.json").exists():
            raise InputError(
                f"{self.source} is not an index, and no corpus is given to build one from",
                "Expected an index, or a model and a corpus",
                f"Write: ffmem study {self.study.name} {self.source} CORPUS --out runs/study",
            )
        return open_index(self.source)

    def model(self) -> Transformer:
        """The model that is studied."""
        if self.index is None:
            return load(self.source, self.run.loading)
        trusted = self.run.loading.trust_remote_code
        return load_indexed_model(self.index, self.run.model, self.run.loading.device, trust_remote_code=trusted)

    @property
    def folder(self) -> Path:
        """Where results go."""
        if self.index is not None:
            return self.index.folder
        if self.run.out is None:
            command = f"ffmem study {self.study.name} {self.source} {' '.join(self.texts)}".rstrip()
            raise InputError(
                f"{self.source} is a model, and no folder is given for the results",
                "Expected --out FOLDER, or an index, which keeps them beside itself",
                f"Write: {command} --out runs/{self.study.name}",
            )
        return Path(self.run.out)

    def _check_of_index(self) -> None:
        """Refuse what would say which model is meant: an index says it itself."""
        given = [name for name in _OF_THE_MODEL if getattr(self.run.loading, name) != getattr(ModelOptions(), name)]
        if given and not self.texts:
            flag = "--" + given[0].replace("_", "-")
            raise InputError(
                f"{flag} is given with the index {self.source}", "Expected it only with a model", f"Leave {flag} out"
            )

    def _check_out(self) -> None:
        """Refuse a folder for results, which lie beside the index."""
        if self.run.out is not None and Path(self.run.out).resolve() != Path(self.source).resolve():
            raise InputError(
                f"--out is given with the index {self.source}, beside which the results lie",
                "Expected it only where an index is built, or for a study that needs none",
                "Leave --out out",
            )

    def _built(self) -> Index:
        if self.run.out is None:
            raise InputError(
                f"{self.source} with the corpus {self.texts[0]} asks for a new index, and no folder is given for it",
                "Expected --out FOLDER",
                f"Write: ffmem study {self.study.name} {self.source} {' '.join(self.texts)} --out runs/study",
            )
        loading = self.run.loading
        options = IndexOptions(
            max_tokens=self.run.max_tokens,
            dtype=loading.dtype,
            device=loading.device or "cpu",
            architecture=loading.architecture,
            patch=loading.patch,
        )
        with render.progress(self.run.quiet) as listen:
            return build_index(
                self.source,
                list(self.texts),
                self.run.out,
                options=options,
                run=RunOptions(trust_remote_code=loading.trust_remote_code),
                revision=loading.revision,
                field=self.run.field,
                encoding=self.run.encoding,
                progress=listen,
            )


def run_named(study: Study[Any], source: str, texts: Sequence[str], options: Any, run: StudyRun) -> tuple[Report, Path]:
    """Run a study, or go on with it, and write its page.

    Raises:
        InputError: the subject lacks something, or the extra `report` is not installed.
    """
    for package in ("altair", "vl_convert", "jinja2"):
        extra_module(package, "report", "the page cannot be written")
    named = Named(study, source, tuple(texts), run)
    read = () if study.needs_index else named.texts
    subject = Subject(
        model=named.model,
        folder=named.folder,
        index=named.index,
        corpora=[open_corpus(text, run.field, run.encoding) for text in read],
        texts=read,
        encoding=run.encoding,
        source=run.model,
        trust_remote_code=run.loading.trust_remote_code,
        device=run.loading.device,
    )
    with render.study_progress(run.quiet) as listen, torch_threads(run.loading.threads):
        results = run_study(study, subject, options, listen, controls=not run.no_controls)
    report = report_of(results)
    return report, write_page(report, results.folder)
