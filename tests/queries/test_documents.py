"""Documents by their metadata, and everything that search makes of it, against loops over a hand-made index."""

import numpy as np
import pytest

from ffmem import Index, InputError
from ffmem.queries.documents import documents_with, metadata_of, topic_meta
from tests.fixtures.made_index import Document, Layer, make_index


@pytest.fixture(scope="module")
def index(tmp_path_factory: pytest.TempPathFactory) -> Index:
    documents = [
        Document([["a"], ["b"]], "one", {"topic": "Sea", "year": 1990, "tags": ["x", "y"]}),
        Document([["a", "b"]], "two", {"topic": "sea", "year": 1991, "tags": ["y"], "long": {"a": [1]}}),
        Document([["c"]], "three", {"topic": "Middle Ages", "year": 1990, "none": None}),
    ]
    return make_index(tmp_path_factory.mktemp("made") / "i", documents, [Layer(np.eye(5))])


@pytest.mark.parametrize(
    ("meta", "expected"),
    [
        ({"topic": "sea"}, [True, True, False]),  # in any case of its letters
        ({"topic": "middle"}, [False, False, True]),  # a part of a value, where no whole one is so
        ({"YEAR": "1990"}, [True, False, True]),
        ({"tags": "y"}, [True, True, False]),  # one of a list
        ({"tags": "x", "topic": "SEA"}, [True, False, False]),
        ({"long": '{"a": [1]}'}, [False, True, False]),
    ],
)
def test_documents_that_say_so(index: Index, meta: dict[str, str], expected: list[bool]) -> None:
    assert documents_with(index, meta).tolist() == expected


def test_values_are_counted_the_most_frequent_first(index: Index) -> None:
    fields = metadata_of(index).fields
    assert fields["tags"].values == ("y", "x") and fields["tags"].n_documents.tolist() == [2, 1]
    assert fields["year"].values == ("1990", "1991") and "none" not in fields
    assert metadata_of(index) is metadata_of(index)


def test_what_no_document_has_names_what_is_near(index: Index) -> None:
    with pytest.raises(InputError, match=r"no document has a field 'topc'. Expected one of: topic, year, tags"):
        documents_with(index, {"topc": "sea"})
    with pytest.raises(InputError, match=r"no document has the topic 'midle agse'. .* such as Middle Ages"):
        documents_with(index, {"topic": "midle agse"})


def test_a_topic_is_a_whole_value_of_the_field_that_labels_documents(index: Index) -> None:
    assert topic_meta(index, "middle ages") == {"topic": "Middle Ages"} and topic_meta(index, "middle") is None
