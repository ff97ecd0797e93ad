"""Parameters add up to those of the model."""

from ffmem.index.indexed_model import load_indexed_model
from ffmem.studies.geva2021.parameters import ParametersResult
from tests.studies.conftest import Story


def test_parts_make_the_whole(story: Story) -> None:
    result = story.findings.get("parameters", ParametersResult)
    own = {id(one): one.numel() for one in load_indexed_model(story.index).module.parameters()}
    assert result.total == sum(own.values())
    assert result.total == result.attention + result.feed_forward + result.norms + result.other
    rows = story.report.tables["parameters"].rows
    assert sum(row["parameters"] for row in rows) == result.total
    assert abs(sum(row["% of all"] for row in rows) - 100) < 0.3
