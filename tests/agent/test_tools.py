"""What an agent is told is what the index holds: held to the index itself, and to the model's own plain call."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import pytest

from ffmem import Index, InputError

pytest.importorskip("mcp", reason="agents need the extra mcp")
pytest.importorskip("jinja2", reason="the pages need the extra explorer")

import torch

from ffmem.agent.model import LazyModel
from ffmem.agent.tools import Tools
from ffmem.models.registry import load_model
from ffmem.server.opening import open_explorer


@pytest.fixture
def index(index_of: Callable[[str], Index]) -> Index:
    return index_of("gpt2")


@pytest.fixture
def tools(index: Index) -> Any:
    lazy = LazyModel(index)
    yield Tools(open_explorer(index.folder, with_model=False), lazy)
    lazy.close()


def told(answer: Any) -> Any:
    return json.loads(asyncio.run(answer))


def test_a_cell_and_the_rest_of_its_triggers(tools: Tools, index: Index) -> None:
    cell = index.cell(index.cell_id("L1.3"))
    kept = [one for one in cell.triggers if one.sign == 1]
    first, rest = told(tools.cell("L1.3", limit=3)), told(tools.cell("L1.3", limit=100, start=3))
    rows = first["triggers"] + rest["triggers"]
    assert [one["coefficient"] for one in rows] == pytest.approx([one.coefficient for one in kept])
    for row, trigger in zip(rows, kept, strict=True):
        data = trigger.text.encode()
        assert row["text"].replace("⟦", "").replace("⟧", "") == trigger.text
        marked = row["text"].partition("⟦")[2].partition("⟧")[0]
        assert marked == data[trigger.span[0] : trigger.span[1]].decode().strip()
    assert first["promoted"] == [one.token for one in cell.promoted[:3]] and first["previous"] == "L1.2"


def test_search_finds_cells_by_their_words(tools: Tools, index: Index) -> None:
    text = index.cell(index.cell_id("L1.3")).triggers[0].text
    word = max((one.strip(".,") for one in text.split()), key=len)
    found = told(tools.search(word, limit=100))
    assert found["n_cells"] >= len(found["cells"]) > 0
    for one in found["cells"]:
        assert all(word.lower() in row["text"].replace("⟦", "").replace("⟧", "").lower() for row in one["triggers"])
    assert all(word.lower() in one["text"].lower() for one in found["sentences"])
    assert told(tools.search("L1.3"))["cell"] == "L1.3"
    for wrong in ("", "layer:99 x"):
        with pytest.raises(InputError):
            asyncio.run(tools.search(wrong))


def test_a_sentence_names_the_cells_that_have_it(tools: Tools, index: Index) -> None:
    trigger = index.cell(index.cell_id("L1.3")).triggers[0]
    found = told(tools.sentence(trigger.sentence_id, limit=100))
    assert found["text"] == trigger.text and len(index.cells_of_sentence(trigger.sentence_id)) == found["n_cells"]
    mine = [one for one in found["cells"] if one["cell"] == "L1.3"]
    assert [one["coefficient"] for one in mine] == pytest.approx([trigger.coefficient])


def test_the_model_predicts_what_it_predicts(tools: Tools, index: Index) -> None:
    text = "the old river"
    model = load_model(index.manifest.identity.model.source)
    with torch.no_grad():
        ids = torch.tensor([model.tokenizer.encode(text)])
        logits = model.module(ids).logits[0, -1]
    best = int(logits.argmax())
    explained = told(tools.explain(text))
    assert explained["rank"] == 0
    assert explained["score"] == pytest.approx(float(logits[best]), abs=1e-4)
    assert explained["probability"] == pytest.approx(float(logits.softmax(-1)[best]), abs=1e-5)
    changed = told(tools.intervene(text, ["L1.3*1"], new_tokens=0))
    assert changed["divergence"] == pytest.approx(0, abs=1e-9)
    assert changed["candidates"][0]["after"] == pytest.approx(float(logits.softmax(-1).max()), abs=1e-5)
    with pytest.raises(InputError):
        asyncio.run(tools.intervene(text, ["@/etc/passwd*0"]))


def test_without_a_model_nothing_needs_one(index: Index) -> None:
    tools = Tools(open_explorer(index.folder, with_model=False), None)
    assert {one.__name__ for one in tools.reading} == {"overview", "search", "cell", "similar", "names", "sentence"}
    with pytest.raises(InputError, match="no model"):
        asyncio.run(tools.similar("L1.3", "value"))
    near = told(tools.similar("L1.3", limit=2))["rows"]
    assert len(near) <= 2 and all(0 <= one["similarity"] <= 1 for one in near)
    layers = told(tools.overview())["layers"]
    assert [one["layer"] for one in layers] == ["L0", "L1", "L2"] and sum(
        one["n_cells"] for one in layers
    ) == index.n_cells
