"""What a user named becomes the subject of a study, or an error that says what to write."""

import json
import shutil
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import pytest

from ffmem import Index, InputError, RunOptions, StoreError
from ffmem.cli.options import ModelOptions
from ffmem.cli.studying import Named, StudyRun, run_named
from ffmem.studies.geva2021.options import StudyOptions
from ffmem.studies.report import report_of
from ffmem.studies.results import open_results
from ffmem.studies.study import study_named
from tests.conftest import SMALL_STUDY

OF_AN_INDEX, OF_A_MODEL = study_named("geva2021"), study_named("kobayashi2020")


def test_an_index_is_opened_and_its_results_lie_beside_it(index_of: Callable[[str], Index]) -> None:
    folder = index_of("gpt2").folder
    for study in (OF_AN_INDEX, OF_A_MODEL):
        named = Named(study, str(folder), (), StudyRun(out=str(folder)))
        assert named.index is not None and named.index.folder == folder == named.folder
        assert named.index is named.index  # opened once


def test_a_model_is_studied_without_an_index_where_none_is_needed(tiny_folder: Callable[[str], Path]) -> None:
    named = Named(
        OF_A_MODEL, str(tiny_folder("gpt2")), ("topics",), StudyRun(out="out", loading=ModelOptions(dtype="float16"))
    )
    assert named.index is None and named.folder == Path("out")
    assert named.model().facts.dtype == "float16"


def test_the_model_of_an_index_is_where_the_user_says(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    index = index_of("gpt2")
    moved = shutil.copytree(tiny_folder("gpt2"), tmp_path / "moved")
    named = Named(OF_AN_INDEX, str(index.folder), (), StudyRun(model=str(moved)))
    assert named.model().weights_hash() == index.manifest.identity.model.weights_sha256
    with pytest.raises(InputError, match="has other weights"):
        Named(OF_AN_INDEX, str(index.folder), (), StudyRun(model=str(tiny_folder("opt")))).model()


def test_an_index_is_made_of_a_model_and_texts(
    tiny_folder: Callable[[str], Path],
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("ffmem.cli.studying.RunOptions", partial(RunOptions, workers=0))  # no process of its own
    (tmp_path / "a.jsonl").write_text('{"body": "caf\\u00e9 the old river"}\n{"body": "the market"}\n')
    run = StudyRun(out=str(tmp_path / "out"), max_tokens=1000, field="body", quiet=True)
    named = Named(OF_AN_INDEX, str(tiny_folder("gpt2")), (str(tmp_path / "a.jsonl"),), run)
    index = named.index
    assert index is not None and index.folder == tmp_path / "out" == named.folder
    assert index.manifest.options.max_tokens == 1000 and index.manifest.counts.n_documents == 2
    texts = {index.text.sentence(i).text for i in range(index.text.n_all_sentences)}
    assert texts == {"café the old river", "the market"} and capsys.readouterr().err == ""
    again = Named(OF_AN_INDEX, str(tmp_path / "out"), (), run)
    assert again.index is not None and again.index.folder == tmp_path / "out"


@pytest.mark.parametrize(
    ("study", "texts", "told"),
    [
        (
            OF_AN_INDEX,
            ("a.txt", "b.txt"),
            "m with the corpus a.txt asks for a new index, and no folder is given for it. Expected --out FOLDER. "
            "Write: ffmem study geva2021 m a.txt b.txt --out runs/study.",
        ),
        (
            OF_A_MODEL,
            ("a.txt",),
            "m is a model, and no folder is given for the results. Expected --out FOLDER, or an index, which keeps "
            "them beside itself. Write: ffmem study kobayashi2020 m a.txt --out runs/kobayashi2020.",
        ),
        (
            OF_A_MODEL,
            (),
            "m is a model, and no folder is given for the results. Expected --out FOLDER, or an index, which keeps "
            "them beside itself. Write: ffmem study kobayashi2020 m --out runs/kobayashi2020.",
        ),
    ],
)
def test_a_folder_is_asked_for_with_the_command_to_write(study: object, texts: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError) as error:
        Named(study, "m", texts, StudyRun()).folder  # type: ignore[arg-type]  # noqa: B018
    assert str(error.value) == told


def test_a_model_without_texts_is_no_index(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="there is no index in"):
        Named(OF_AN_INDEX, str(tmp_path), (), StudyRun()).folder  # noqa: B018


def test_a_folder_for_results_is_refused_where_they_lie_beside_the_index(index_of: Callable[[str], Index]) -> None:
    folder = str(index_of("gpt2").folder)
    with pytest.raises(InputError, match=r"--out is given with the index .*, beside which the results lie"):
        Named(OF_AN_INDEX, folder, (), StudyRun(out="elsewhere")).index  # noqa: B018
    assert Named(OF_AN_INDEX, folder, (), StudyRun()).index is not None


@pytest.mark.parametrize(
    ("loading", "flag"),
    [
        (ModelOptions(dtype="float16"), "--dtype"),
        (ModelOptions(revision="main"), "--revision"),
        (ModelOptions(architecture="X"), "--architecture"),
    ],
)
def test_what_says_which_model_is_meant_is_refused_beside_an_index(
    index_of: Callable[[str], Index], loading: ModelOptions, flag: str
) -> None:
    folder = str(index_of("gpt2").folder)
    with pytest.raises(InputError) as error:
        Named(OF_AN_INDEX, folder, (), StudyRun(loading=loading)).index  # noqa: B018
    assert (
        str(error.value) == f"{flag} is given with the index {folder}. Expected it only with a model. Leave {flag} out."
    )
    assert Named(OF_AN_INDEX, folder, (), StudyRun(loading=ModelOptions(threads=2, trust_remote_code=True))).index


def test_a_study_that_is_done_is_told_again_without_its_model(
    studied_index: Index, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pytest.importorskip("altair", reason="needs the extra report")
    folder = shutil.copytree(studied_index.folder, tmp_path / "i")
    manifest = json.loads((folder / "manifest.json").read_bytes())
    manifest["identity"]["model"]["source"] = "/no/such/model"
    (folder / "manifest.json").write_text(json.dumps(manifest))
    options = StudyOptions(**SMALL_STUDY)
    report, page = run_named(OF_AN_INDEX, str(folder), (), options, StudyRun(quiet=True))
    assert report == report_of(open_results(folder)) and page.parent.parent == folder / "results"
    assert report.title in page.read_text() and capsys.readouterr() == ("", "")
    with pytest.raises(InputError, match="/no/such/model"):  # other options: it has to be run
        run_named(OF_AN_INDEX, str(folder), (), replace(options, prefixes=31), StudyRun(quiet=True))
