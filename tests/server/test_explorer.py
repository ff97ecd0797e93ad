"""What an explorer keeps, and what it must not load."""

import subprocess
import sys
import threading
from collections.abc import Callable

import pytest

import ffmem
from ffmem import Index, InputError
from ffmem.server.explorer import Explorer
from ffmem.server.opening import open_explorer


def test_what_is_made_once_is_made_once_for_all_who_ask(index_of: Callable[[str], Index]) -> None:
    explorer, made, begun = Explorer(index_of("gpt2")), [], threading.Barrier(8)

    def make() -> object:
        made.append(object())
        return made[-1]

    def ask() -> None:
        begun.wait(30)
        answers.append(explorer.kept("x", make))

    answers: list[object] = []
    threads = [threading.Thread(target=ask) for _ in range(8)]
    for one in threads:
        one.start()
    for one in threads:
        one.join(30)
    assert len(made) == 1 and answers == made * 8 and explorer.ready("x") is made[0]


def test_what_fails_is_tried_again(index_of: Callable[[str], Index]) -> None:
    explorer = Explorer(index_of("gpt2"))
    with pytest.raises(ZeroDivisionError):
        explorer.kept("x", lambda: 1 // 0)
    assert explorer.ready("x") is None and explorer.kept("x", lambda: 5) == 5


@pytest.mark.parametrize(("family", "causal"), [("gpt2", True), ("bert", False), ("t5", False)])
def test_which_models_predict_the_next_token(index_of: Callable[[str], Index], family: str, causal: bool) -> None:
    assert Explorer(index_of(family)).causal is causal


def test_two_further_indexes_of_one_name_are_refused(index_of: Callable[[str], Index]) -> None:
    folder = index_of("gpt2").folder
    with pytest.raises(InputError, match=r"two further indexes are named 'gpt2'.*Expected folders of different names"):
        open_explorer(folder, others=[folder, folder], with_model=False)


def test_an_index_without_a_study_says_how_to_get_one(index_of: Callable[[str], Index], studied_index: Index) -> None:
    study = Explorer(index_of("gpt2")).studies
    assert not study.results and f"ffmem reproduce {index_of('gpt2').folder}" in study.why
    assert Explorer(ffmem.open_index(studied_index.folder)).report() is not None


def test_pages_start_without_torch() -> None:
    script = "import sys, {}; print('torch' in sys.modules)"
    for modules, loads in (
        ("ffmem.server.app, ffmem.server.explorer", "False"),
        ("ffmem.server.model_questions", "True"),
    ):
        command = [sys.executable, "-c", script.format(modules)]
        assert subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip() == loads
