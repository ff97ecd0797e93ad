"""The flow of a prediction in a terminal."""

from dataclasses import replace

import pytest

from ffmem.analyses.flow_parts import cut
from ffmem.render.flow import flow, part_words, shown_of_all, signed
from tests.fixtures.made_flow import made_fired, made_flow


def test_every_number_is_there_and_they_add_up() -> None:
    found = made_flow()
    drawn = cut(found.sum, 0.5, n_before=1)
    lines = flow(found, drawn).split("\n")
    assert lines[0] == "⟨ bank⟩: rank 0, probability 0.5000, score 4.1250, the logit; shares in logits"
    assert lines[1] == "after ⟨the⟩ ⟨ river⟩"
    numbers = [float(line.split()[0]) for line in lines[3:-1] if not line.startswith("the rest")]
    assert sum(numbers) == pytest.approx(4.125) and lines[-1].startswith(
        "  sum 4.1250; it differs from the score by 1.0e-06"
    )
    assert lines[3].split()[0] == "+2.0000" and lines[3].endswith("L0.3 → ⟨ sea⟩ ⟨s⟩")
    assert any(line.endswith("L0: 104 parts (attention +0.3750, cells +0.7500, biases -0.0625)") for line in lines)


def test_how_much_is_shown() -> None:
    found = made_flow()
    # of 6.875 that adds 1 and 2 are shown; of 3.25 that takes away first nothing, then twice 1
    adds = "44 % of all that adds"
    assert shown_of_all(cut(found.sum, 0.29, n_before=1)) == f"2 of 215 parts: {adds}, 0 % of all that takes away"
    assert shown_of_all(cut(found.sum, 0.45, n_before=1)) == f"4 of 215 parts: {adds}, 62 % of all that takes away"


def test_parts_in_words() -> None:
    found = made_flow(tokens=("<s>", "the\n", "x\x1b[31m"), name="rivers")
    words = {one.name: part_words(found, one) for one in (*found.sum.parts(1), *cut(found.sum, 1.0).ends)}
    assert words["embedding"] == r"embedding of ⟨x\x1b[31m⟩" and words["L0.H1@-1"] == "L0.H1 from ⟨<s>⟩"
    assert words["L0.H0@0"] == "L0.H0 from ⟨the ⟩" and words["L0.3"].startswith("L0.3  = rivers")
    assert words["L1.attention-bias"] == "bias of attention in L1" and words["L1.bias"] == "bias of the cells in L1"
    assert words["constant"] == "constant, whatever the text"
    assert signed(-0.12345) == "\u22120.123" and signed(2) == "+2"


def test_what_made_a_cell_fire() -> None:
    found = made_flow(fired=(made_fired(), replace(made_fired(), keys=(), why_not="no sum")), against=" sea")
    told = flow(found, cut(found.sum, 0.1, n_before=1))
    assert told.startswith("⟨ bank⟩ over ⟨ sea⟩: ") and "what made L1.7 fire: coefficient 0.5000" in told
    assert "its key was given 2.8125" in told and told.endswith("not known: no sum")
    unsplit = replace(found.sum, layers=(replace(found.sum.layers[0], heads=(), not_split="it has 2 of them"),))
    told = flow(replace(found, sum=unsplit, fired=()), cut(unsplit, 1.0))
    assert told.endswith("attention of L0 is one part: it has 2 of them") and "all of attention in L0" in told
