"""`ffmem activate`, held to what an index of the same model says of the same sentences."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ffmem import Index, InputError
from tests.cli.typed import typed
from tests.fixtures.made_index import Document, Layer, make_index


@pytest.fixture
def found(tiny_folder: Callable[[str], Path], capsys: pytest.CaptureFixture[str]) -> Callable[..., dict[str, Any]]:
    """What the command prints as JSON."""

    def run(*arguments: object) -> dict[str, Any]:
        typed("activate", tiny_folder("gpt2"), *arguments, "--json")
        return dict(json.loads(capsys.readouterr().out))

    return run


def test_triggers_of_the_index_have_their_coefficients(
    index_of: Callable[[str], Index], found: Callable[..., dict[str, Any]]
) -> None:
    index = index_of("gpt2")
    for name in ("L0.3", "L1.7", "L2.40"):
        trigger = index[name].triggers[0]
        told = found(
            trigger.text, "--index", index.folder, "--by", "share", "--layer", name.split(".")[0], "--limit", 99
        )
        token = told["tokens"][trigger.position]
        assert token["token"] == trigger.tokens[trigger.position]
        (cell,) = [one for one in token["cells"] if one["cell"] == name]
        assert cell["coefficient"] == pytest.approx(trigger.coefficient, rel=1e-4)
        assert cell["share"] == pytest.approx(1, rel=1e-4)  # it is the largest there is
        assert cell["trigger"] == "".join(index[name].triggers[0].marked())
        assert cell["promoted"] == [one.token for one in index[name].promoted[:5]]
        assert {one["cell"].split(".")[0] for t in told["tokens"] for one in t["cells"]} == {name.split(".")[0]}


def test_the_strongest_come_first_by_what_is_asked_for(found: Callable[..., dict[str, Any]]) -> None:
    for by, key in (("norm", "norm"), ("coefficient", "coefficient")):
        told = found("the old river", "--by", by, "--limit", 7)
        assert told["by"] == by and "".join(one["token"] for one in told["tokens"]) == "the old river"
        for token in told["tokens"]:
            sizes = [abs(cell[key]) for cell in token["cells"]]
            assert len(sizes) == 7 and sizes == sorted(sizes, reverse=True)
            assert all(cell["share"] is None and cell["trigger"] is None for cell in token["cells"])
    everything = found("river", "--limit", 1000)["tokens"][-1]["cells"]
    assert [one["cell"] for one in found("river", "--limit", 3)["tokens"][-1]["cells"]] == [
        one["cell"] for one in everything[:3]
    ]
    assert found("river", "--limit", 0)["tokens"][-1]["cells"] == []


def test_the_text_shows_what_the_json_says(
    tiny_folder: Callable[[str], Path], found: Callable[..., dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    told = found("the river", "--limit", 2)
    typed("activate", tiny_folder("gpt2"), "the river", "--limit", 2)
    lines = capsys.readouterr().out.splitlines()[1:]
    expected: list[list[str]] = []
    for token in told["tokens"]:
        expected.append(f"⟨{token['token']}⟩".split())
        for cell in token["cells"]:
            expected.append([cell["cell"], f"{cell['coefficient']:.3f}", "adds", f"{cell['norm']:.3f}"])
    assert [line.split() for line in lines] == expected


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("the river", "--by", "share"), r"--by is 'share', but no index is given\. .*Add --index DIR"),
        (("the river", "--layer", "L3"), "layer L3 does not exist: this model has 3 layers of 48 cells"),
        (("",), "no token"),
    ],
)
def test_what_a_user_can_mend(tiny_folder: Callable[[str], Path], arguments: tuple[str, ...], told: str) -> None:
    with pytest.raises(InputError, match=told):
        typed("activate", tiny_folder("gpt2"), *arguments)


def test_an_index_of_another_model_is_refused(tiny_folder: Callable[[str], Path], tmp_path: Path) -> None:
    other = make_index(tmp_path / "i", [Document([["a"]])], [Layer([[1.0]])], top=1)
    with pytest.raises(InputError, match=r"another model|other weights"):
        typed("activate", tiny_folder("gpt2"), "the river", "--index", other.folder)
