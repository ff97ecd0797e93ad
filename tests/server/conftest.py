"""An explorer over tiny indexes, asked without a network."""

import shutil
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

import ffmem
from ffmem import Index, IndexOptions

pytest.importorskip("fastapi", reason="the explorer needs the extra explorer")

from starlette.testclient import TestClient

from ffmem.analyses.intervals import Estimate
from ffmem.analyses.patterns.results import LayerPatterns
from ffmem.server.app import make_app
from ffmem.server.explorer import Explorer
from ffmem.server.opening import open_explorer
from ffmem.studies.geva2021.pattern_results import PatternsResult
from ffmem.studies.results import begin_results
from tests.fixtures.corpora import write_corpus
from tests.fixtures.indexes import IN_PROCESS
from tests.fixtures.shared import MakeOnce

HTML = {"accept": "text/html"}
LABELS = {
    "L0": {"shallow": 0.625, "shallow+semantic": 0.0, "semantic": 0.125, "not-covered": 0.25},
    "L1": {"shallow": 0.5, "shallow+semantic": 0.25, "semantic": 0.0, "not-covered": 0.25},
    "L2": {"shallow": 0.0, "shallow+semantic": 0.125, "semantic": 0.375, "not-covered": 0.5},
}
"""What the study that is made by hand says of triggers, layer by layer."""
PATTERNS = (
    "cell,sign,kind,pattern_class,text,triggers,frequency,p,p_in_unit,accepted,auc,precision,recall,n\n"
    'L1.3,1,topic,semantic,"<b>rivers & ""stones""</b>","[0, 1, 4]",0.25,0.001,0.03,True,0.875,0.5,0.25,3\n'
    'L1.3,1,token,shallow,"ends with "" the""","[0, 2, 3]",0.0625,0.0001,0.002,True,,,,3\n'
    'L1.3,1,token,shallow,"ends with "" by chance""","[0, 2, 5]",0.5,0.4,1.0,False,,,,3\n'
    'L1.9,1,token,shallow,"ends with "" of""","[1, 2, 3]",0.0625,0.0001,0.002,True,,,,3\n'
)
"""The patterns of layer L1 that it has found; the third was not accepted."""


@pytest.fixture(scope="session")
def explorer_of(index_of: Callable[[str], Index]) -> Iterator[Callable[[str], Explorer]]:
    """The explorer of a tiny model of a family, with the model at hand, made once."""
    made: dict[str, Explorer] = {}

    def make(family: str) -> Explorer:
        if family not in made:
            made[family] = open_explorer(index_of(family).folder)
            made[family].model.wait()
        return made[family]

    yield make
    for one in made.values():
        one.model.close()


@pytest.fixture
def client_of(explorer_of: Callable[[str], Explorer]) -> Callable[[str], TestClient]:
    """A client of that explorer; errors of ours are answers, bugs are raised."""
    return lambda family: TestClient(make_app(explorer_of(family)), base_url="http://localhost:8765")


@pytest.fixture
def client(client_of: Callable[[str], TestClient]) -> TestClient:
    """A client of the explorer of a tiny GPT-2."""
    return client_of("gpt2")


@pytest.fixture(scope="session")
def other_index(tiny_folder: Callable[[str], Path], make_once: MakeOnce) -> Index:
    """An index of the tiny GPT-2 over another text."""

    def build(out: Path) -> None:
        corpus = write_corpus(out.with_name("other-words.txt"), 25, seed=5)
        options = IndexOptions(top=7, promoted=10, holdout=0)
        ffmem.build_index(tiny_folder("gpt2"), corpus, out, options=options, run=IN_PROCESS)

    return ffmem.open_index(make_once("indexes/other", build))


@pytest.fixture(scope="session")
def explained_index(index_of: Callable[[str], Index], make_once: MakeOnce) -> Index:
    """The index of the tiny GPT-2 with the results of a study beside it that nobody ran: `LABELS` and `PATTERNS`."""

    def write(folder: Path) -> None:
        shutil.copytree(index_of("gpt2").folder, folder)
        identity = index_of("gpt2").manifest.identity.json
        header = {"study": "geva2021", "index": identity, "options": {"seed": 0}, "held_out": None}
        results = begin_results(folder / "results", header)
        results.save("patterns", PatternsResult(None, "nobody looked", tuple(map(_layer, LABELS)), (), (), None))
        (results.folder / "patterns").mkdir()
        (results.folder / "patterns" / "L1.csv").write_text(PATTERNS)

    return ffmem.open_index(make_once("explained/index", write))


def _layer(name: str) -> LayerPatterns:
    labels = {label: Estimate(value, value / 2, value, 8) for label, value in LABELS[name].items()}
    some = Estimate(0.75, 0.5, 1.0, 8)
    return LayerPatterns(
        name, 48, 336, labels, some, labels["semantic"], some, some, {"token": some}, {"token": 0.5, "topic": 0.25}
    )  # type: ignore[arg-type]


@pytest.fixture
def explained(explained_index: Index) -> Explorer:
    """An explorer of that index, without its model."""
    return open_explorer(explained_index.folder, with_model=False)
