"""Table 2 is what index and model say."""

import numpy as np
import pytest

from ffmem.index.indexed_model import load_indexed_model
from tests.studies.conftest import Story


def test_the_strongest_values_are_those_of_the_model(story: Story) -> None:
    rows = story.report.tables["strongest-values"].rows
    model, vocabulary = load_indexed_model(story.index), story.index.text.vocabulary
    for row in rows[:5]:
        place, number = story.index.cells.place(story.index.cells.parse(row["value"]))
        scores = model.project(model.values(place)[number][None], story.index.manifest.projection)[0].detach()
        p = np.asarray(scores.float().softmax(0))
        assert vocabulary[int(p.argmax())] == row["top token"]
        assert p.max() == pytest.approx(row["probability"], abs=2e-6)
    assert [row["probability"] for row in rows] == sorted((row["probability"] for row in rows), reverse=True)
