"""What the explorer asks of a model, held against the model's own plain run and against the numbers of its file."""

import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from ffmem import Index, InputError, open_index
from ffmem.names.collections import adding
from ffmem.server.limits import MAX_ATTENTION_TOKENS
from ffmem.server.links import Links
from ffmem.server.model_questions import ModelQuestions, load_questions
from ffmem.server.pages import render
from ffmem.server.views.attention import AttentionState, MapState
from ffmem.server.views.prompt import PromptState
from ffmem.store.collection_files import Collections
from ffmem.store.collections import Item
from tests.server.page import assert_sound

TEXT = "the old river of the village"


@pytest.fixture(scope="module")
def questions(index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path]) -> ModelQuestions:
    return load_questions(index_of("gpt2"), str(tiny_folder("gpt2")), 1, False)


class Plain:
    """The same model as transformers runs it, with hooks on what goes into the second matrix of a layer."""

    def __init__(self, folder: Path) -> None:
        self.tokenizer = AutoTokenizer.from_pretrained(folder)
        self.model = AutoModelForCausalLM.from_pretrained(folder).eval()
        self.weights = load_file(folder / "model.safetensors")

    def run(self, text: str, change: Callable[[int, torch.Tensor], torch.Tensor] | None = None) -> Any:
        """(logits of each token, coefficients of each layer)"""
        coefficients: list[torch.Tensor] = []

        def keep(place: int) -> Callable[..., Any]:
            def hook(_: Any, given: tuple[torch.Tensor]) -> Any:
                coefficients.append(given[0][0].clone())
                return None if change is None else (change(place, given[0]),)

            return hook

        blocks = self.model.transformer.h
        hooks = [block.mlp.c_proj.register_forward_pre_hook(keep(place)) for place, block in enumerate(blocks)]
        try:
            with torch.no_grad():
                ids = torch.tensor([self.tokenizer(text)["input_ids"]])
                return self.model(ids).logits[0], coefficients
        finally:
            for one in hooks:
                one.remove()

    def values(self, place: int) -> np.ndarray:
        """A row for each cell."""
        (found,) = (one for name, one in self.weights.items() if name.endswith(f"h.{place}.mlp.c_proj.weight"))
        return found.astype(np.float64)


@pytest.fixture(scope="module")
def plain(tiny_folder: Callable[[str], Path]) -> Plain:
    return Plain(tiny_folder("gpt2"))


def test_the_last_layer_predicts_what_the_model_predicts(questions: ModelQuestions, plain: Plain) -> None:
    view = questions.prompt(PromptState(TEXT, new=0))
    logits, _ = plain.run(TEXT)
    shares = logits.softmax(-1)
    assert view.problems == () and view.lens is not None and len(view.lens.boxes[-1]) == len(logits)
    for box, own in zip(view.lens.boxes[-1], shares, strict=True):
        assert box.probability == pytest.approx(float(own.max()), rel=1e-4)
        token = plain.tokenizer.decode([int(own.argmax())])
        assert box.token == token or "\ufffd" in token  # bytes that are no character stand as their numbers
    assert view.explanation is not None
    assert view.explanation.probability == pytest.approx(float(shares[-1].max()), rel=1e-4)


def test_who_writes_at_a_token_is_who_adds_the_longest_vectors(questions: ModelQuestions, plain: Plain) -> None:
    _, coefficients = plain.run(TEXT)
    for layer, at in (("L0", 2), ("L2", 0), ("L1", len(coefficients[0]) - 1)):
        view = questions.prompt(PromptState(TEXT, layer=layer, at=at, new=0))
        own = coefficients[int(layer[1])][at].double().numpy()
        lengths = np.abs(own) * np.linalg.norm(plain.values(int(layer[1])), axis=1)
        assert view.writers is not None and (view.state.layer, view.state.at) == (layer, at)
        order = np.argsort(-lengths, kind="stable")[: len(view.writers)]
        assert [str(one.cell) for one in view.writers] == [f"{layer}.{row}" for row in order]
        assert [one.coefficient for one in view.writers] == pytest.approx(own[order], rel=1e-3)
        assert [one.norm for one in view.writers] == pytest.approx(lengths[order], rel=1e-3)


@pytest.mark.parametrize("where", ["all", "last"])
def test_a_changed_cell_changes_what_the_model_says(where: str, questions: ModelQuestions, plain: Plain) -> None:
    view = questions.prompt(PromptState(TEXT, change=("L1.3*0", "L0.2=5"), where=where, new=0))  # type: ignore[arg-type]

    def change(place: int, given: torch.Tensor) -> torch.Tensor:
        given = given.clone()
        places = slice(None) if where == "all" else slice(-1, None)
        if place == 1:
            given[:, places, 3] = 0
        if place == 0:
            given[:, places, 2] = 5
        return given

    before, after = plain.run(TEXT)[0][-1].softmax(-1), plain.run(TEXT, change)[0][-1].softmax(-1)
    assert view.intervention is not None
    divergence = float((after * (after / before).log()).sum())
    assert view.intervention.divergence == pytest.approx(divergence, rel=1e-3, abs=1e-7) and divergence > 1e-4
    shown = [(one.before, one.after) for one in view.intervention.candidates]
    assert max(one for one, _ in shown) == pytest.approx(float(before.max()), rel=1e-4)
    assert max(one for _, one in shown) == pytest.approx(float(after.max()), rel=1e-4)


def test_a_collection_is_changed_cell_by_cell_and_no_file_is_read(
    index_of: Callable[[str], Index], tiny_folder: Callable[[str], Path], tmp_path: Path
) -> None:
    shutil.copytree(index_of("gpt2").folder, tmp_path / "index")
    index = open_index(tmp_path / "index")
    collections = Collections(index)
    collections.change("few", adding("few", collections.origin, [Item(index.cell_id(one)) for one in ("L1.3", "L0.2")]))
    questions = load_questions(index, str(tiny_folder("gpt2")), 1, False)

    def asked(*change: str) -> Any:
        return questions.prompt(PromptState(TEXT, change=change, new=0))

    by_hand = asked("L0.2*0", "L1.3*0").intervention
    assert asked("@few*0").intervention == by_hand and by_hand.divergence > 0
    for change, told in (
        (f"@{tmp_path}/index/collections/few.json*0", "a page reads no other files"),
        ("@none*0", "Expected one of: few"),
    ):
        view = asked(change)
        assert view.intervention is None and told in dict(view.problems)["intervention"]


def test_near_by_value_is_the_cosine_of_the_rows_of_the_file(
    questions: ModelQuestions, plain: Plain, index_of: Any
) -> None:
    found = questions.similar(index_of("gpt2").cell_id("L1.3"), "value", 200)
    own = plain.values(1)[3]
    cosines = {}
    for place in range(3):
        for row, value in enumerate(plain.values(place)):
            cosines[f"L{place}.{row}"] = float(value @ own / np.linalg.norm(value) / np.linalg.norm(own))
    assert cosines.pop("L1.3") == pytest.approx(1)
    assert {str(one.cell): one.similarity for one in found.rows} == pytest.approx(cosines, abs=1e-5)
    told = [one.similarity for one in found.rows]
    assert told == sorted(told, reverse=True)


def test_shades_are_the_coefficients_of_every_token(questions: ModelQuestions, plain: Plain, index_of: Any) -> None:
    index = index_of("gpt2")
    shaded = questions.shades(index.cell_id("L2.7"), 3)
    assert [one.rank for one in shaded] == [0, 1, 2]
    for one, trigger in zip(shaded, index.cell("L2.7").triggers, strict=False):
        own = plain.run(trigger.text)[1][2][:, 7].tolist()
        shown = [piece.coefficient for piece in one.pieces if piece.coefficient is not None]
        if len(own) == len(shown):  # tokens that share a character stand as one
            assert shown == pytest.approx(own, rel=1e-3, abs=1e-5)
        firing = [piece.coefficient for piece in one.pieces if piece.place == "firing"]
        assert firing == pytest.approx([own[trigger.position]], rel=1e-3)


def test_attention_is_the_models_own(questions: ModelQuestions, plain: Plain) -> None:
    view = questions.attention(AttentionState(TEXT, layer="L1", heads=("L0.H1",)))
    ids = torch.tensor([plain.tokenizer(TEXT)["input_ids"]])
    plain.model.set_attn_implementation("eager")
    with torch.no_grad():
        weights = plain.model(ids, output_attentions=True).attentions
    for place, one in enumerate(view.layers):
        received = weights[place][0].double().mean((0, 1))
        assert one.layer == f"L{place}" and one.weight == pytest.approx(float(received.max()), rel=1e-3)
    assert view.shown is not None and view.shown.layer == "L1" and view.problems == ()
    assert view.sweep is not None and len(view.sweep.heads) == 4 and view.effect is not None and view.effect.kl > 0


def test_the_map_adds_up_to_the_models_own_score(questions: ModelQuestions, plain: Plain) -> None:
    for at in (0, 3, None):
        view = questions.map(MapState(TEXT, at=at))
        logits, _ = plain.run(TEXT)
        place = len(logits) - 1 if at is None else at
        assert view.found is not None and view.state.at == place and view.problems == ()
        assert view.found.probability == pytest.approx(float(logits[place].softmax(-1).max()), rel=1e-4)
        assert "".join(view.tokens) == TEXT
        assert view.shown is not None and view.state.layer == view.shown.layer
        boxes = [view.amount(one) for layer in view.found.layers for one in layer.sources]
        assert max(map(abs, boxes)) <= view.largest


@pytest.mark.parametrize(
    ("state", "parts"),
    [
        (PromptState(TEXT, target="two tokens"), ["target"]),
        (PromptState(TEXT, layer="L9", at=0), ["layer"]),
        (PromptState(TEXT, at=99), ["writers"]),
        (PromptState(TEXT, against="two tokens"), ["explanation"]),
        (PromptState(TEXT, change=("L1.3?0",), target="two tokens"), ["target", "intervention"]),
        (PromptState("river " * 99, target="two tokens", change=("L1.3*0",)), ["lens"]),
    ],
)
def test_what_cannot_be_answered_leaves_the_rest(
    state: PromptState, parts: list[str], questions: ModelQuestions
) -> None:
    view = questions.prompt(state)
    assert [part for part, _ in view.problems] == parts and all("Expected" in why for _, why in view.problems)
    assert (view.lens is None) == (parts == ["lens"])
    assert (view.explanation is None) == (parts[0] in ("target", "explanation", "lens"))


def test_a_text_that_a_page_cannot_show_is_refused(questions: ModelQuestions) -> None:
    long = "x" * (MAX_ATTENTION_TOKENS + 1)
    for view in (questions.attention(AttentionState(long)), questions.map(MapState(long))):
        ((part, why),) = view.problems
        assert part == "text" and f"has {MAX_ATTENTION_TOKENS + 1} tokens" in why and "ffmem" not in why


def test_a_model_whose_scores_are_no_sum_is_mapped_by_length(index_of: Any, tiny_folder: Any) -> None:
    asking = load_questions(index_of("bert"), str(tiny_folder("bert")), 1, False)
    view = asking.map(MapState(TEXT, target="river"))
    assert view.problems == () and (view.state.by, view.state.target) == ("norm", "")
    assert view.found is not None and view.found.score is None and view.by_token == ()
    active = asking.prompt(PromptState(TEXT)).activation
    assert active is not None and all(len(one.cells) <= 3 for one in active.tokens)


def test_another_model_is_refused(index_of: Any, tiny_folder: Any) -> None:
    with pytest.raises(InputError, match="other weights"):
        load_questions(index_of("gpt2"), str(tiny_folder("opt")), 1, False)


def test_a_model_whose_cells_never_fire_has_its_prompt(index_of: Any, explorer_of: Any) -> None:
    """All shares are 0, and the largest of them is no number to divide by."""
    explorer = explorer_of("gpt2")
    view = load_questions(index_of("gpt2"), None, 1, False).prompt(PromptState(TEXT, new=0))
    assert view.explanation is not None
    silent = replace(view.explanation, cells=tuple(replace(one, share=0.0) for one in view.explanation.cells))
    assert silent.largest_cell == 1 and replace(silent, cells=()).largest_cell == 1
    shown = replace(view, explanation=silent)
    page = assert_sound(
        render("prompt.html", Links(), explorer=explorer, here="/prompt", view=shown, model=explorer.model.state)
    )
    assert {row[1] for row in page.one("div", aria_label="The cells that count most").rows()} == {"0"}


def test_a_cell_that_is_taken_out_adds_nothing_and_the_others_what_the_changed_sum_says(
    questions: ModelQuestions,
) -> None:
    before = questions.prompt(PromptState(TEXT, new=0))
    assert before.explanation is not None
    cell = before.explanation.cells[0].cell.cell
    view = questions.prompt(PromptState(TEXT, new=0, change=(f"{cell}*0",)))
    assert view.after is not None and view.share_after(cell) == 0 and before.share_after(cell) is None
    assert view.explanation == before.explanation and view.after.target_id == view.explanation.target_id
    for one in view.after.cells:
        assert one.cell.cell == cell or view.share_after(one.cell.cell) == one.share
    assert view.after.error < 1e-4 and view.intervention is not None
    assert view.after.probability in [pytest.approx(one.after, rel=1e-4) for one in view.intervention.candidates]
