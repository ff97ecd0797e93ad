"""What an index is as tables: the definitions that the SQL views, the Parquet files and their documentation are made of."""

from dataclasses import dataclass
from typing import Literal

SqlType = Literal[
    "VARCHAR", "BOOLEAN", "TINYINT", "SMALLINT", "INTEGER", "BIGINT", "FLOAT", "DOUBLE", "UINTEGER[]"
]  # fmt: skip


@dataclass(frozen=True)
class Column:
    """A column of a table."""

    name: str
    type: SqlType
    meaning: str
    """With unit, range, and when it is NULL."""


@dataclass(frozen=True)
class Relation:
    """A table that an index can be read as."""

    name: str
    row: str
    """What a row is."""
    columns: tuple[Column, ...]
    by_layer: bool
    """Made of the arrays of one layer after the other; else of the text, or of the manifest."""


_CELL = Column("cell", "VARCHAR", "cell id, as in `ffmem cell`: `L9.2997`, `dec.L3.12`, `L9.e5.77`")
_STACK = Column("stack", "VARCHAR", "`enc` or `dec` in an encoder-decoder, else empty")
_LAYER = Column("layer", "INTEGER", "number of the layer within its stack, from 0")
_DICTIONARY = Column("dictionary", "VARCHAR", "name of the dictionary beside the layer that the cell is of, else empty")
_SENTENCE = Column("sentence_id", "INTEGER", "number of the sentence, from 0; held-out ones follow the indexed ones")
_DOCUMENT = Column("document_id", "INTEGER", "number of the document in the corpus, from 0")

CELLS = Relation(
    "cells",
    "a cell, with its statistics over all positions that count",
    (
        _CELL,
        _STACK,
        _LAYER,
        _DICTIONARY,
        Column("expert", "INTEGER", "expert of a mixture, from 0; NULL in other layers"),
        Column("index", "INTEGER", "index within the layer, or within the expert, from 0"),
        Column("n_tokens", "BIGINT", "positions seen"),
        Column("n_sentences", "BIGINT", "sentences seen"),
        Column("n_active", "BIGINT", "positions with a coefficient above 0"),
        Column("active_fraction", "DOUBLE", "n_active / n_tokens, 0 to 1"),
        Column("mean", "DOUBLE", "mean of its coefficients"),
        Column("mean_square", "DOUBLE", "mean of their squares"),
        Column("minimum", "FLOAT", "lowest coefficient"),
        Column("maximum", "FLOAT", "largest coefficient"),
        Column("n_triggers", "INTEGER", "rows that it has in `triggers`, both signs together"),
        Column("histogram", "UINTEGER[]", "sentences by their largest coefficient, in 64 bins of half an octave"),
        Column("histogram_negative", "UINTEGER[]", "sentences by their lowest coefficient, negated; NULL if not gated"),
    ),
    by_layer=True,
)

TRIGGERS = Relation(
    "triggers",
    "a trigger example of a cell",
    (
        _CELL,
        _STACK,
        _LAYER,
        _DICTIONARY,
        Column("sign", "TINYINT", "1 in the list of largest coefficients, -1 in that of lowest ones (gated cells)"),
        Column("rank", "INTEGER", "place in that list, from 0"),
        Column("coefficient", "FLOAT", "what the cell's value is multiplied by; not comparable between cells"),
        _SENTENCE,
        _DOCUMENT,
        Column("position", "INTEGER", "of the firing token among the sentence's own tokens, from 0"),
        Column("token", "VARCHAR", "the firing token, as the vocabulary writes it"),
        Column("token_id", "INTEGER", "its id in the vocabulary"),
        Column("next_token", "VARCHAR", "the token after it; NULL at a sentence's end"),
        Column("next_token_id", "INTEGER", "its id in the vocabulary; NULL at a sentence's end"),
        Column("token_index", "BIGINT", "place of the firing token among the tokens of all sentences, from 0"),
    ),
    by_layer=True,
)

PROMOTED = Relation(
    "promoted",
    "a token at one end of the scores of a cell's value",
    (
        _CELL,
        _STACK,
        _LAYER,
        _DICTIONARY,
        Column("direction", "VARCHAR", "`promoted` or `suppressed`"),
        Column("rank", "INTEGER", "from 0, most promoted (most suppressed) first"),
        Column("token", "VARCHAR", "the token, as the vocabulary writes it"),
        Column("token_id", "INTEGER", "its id in the vocabulary"),
        Column(
            "logit", "FLOAT", "its score under the projection that `layers` names: a contribution, not a probability"
        ),
    ),
    by_layer=True,
)

SENTENCES = Relation(
    "sentences",
    "a sentence, indexed or held out",
    (
        _SENTENCE,
        _DOCUMENT,
        Column("start_byte", "BIGINT", "where it begins in its document, in bytes of UTF-8"),
        Column("text", "VARCHAR", "the whole sentence"),
        Column("n_occurrences", "INTEGER", "how often exactly this sentence stands in the corpus"),
        Column("n_tokens", "INTEGER", "its own tokens"),
        Column("token_index", "BIGINT", "place of its first token among the tokens of all sentences"),
        Column("held_out", "BOOLEAN", "set aside, never indexed"),
        Column("also_indexed", "BOOLEAN", "held out, but its exact text is also indexed"),
    ),
    by_layer=False,
)

DOCUMENTS = Relation(
    "documents",
    "a document of the corpus",
    (
        _DOCUMENT,
        Column("name", "VARCHAR", "its name"),
        Column("metadata", "VARCHAR", "every other field that the corpus gave, as JSON: `metadata->>'$.year'`"),
        Column("n_bytes", "BIGINT", "its length in bytes of UTF-8"),
        Column("held_out", "BOOLEAN", "set aside, never indexed"),
    ),
    by_layer=False,
)

LAYERS = Relation(
    "layers",
    "a feed-forward layer",
    (
        Column("name", "VARCHAR", "as in cell ids: `L9`, `dec.L3`"),
        _STACK,
        _LAYER,
        _DICTIONARY,
        Column("n_experts", "INTEGER", "experts of a mixture; 0 in other layers"),
        Column("d_ff", "INTEGER", "cells that the model has in the layer, or in each expert"),
        Column("n_cells", "BIGINT", "cells of the layer that are in the index, those of all experts together"),
        Column("projection", "VARCHAR", "how values became scores: `raw` or `folded`"),
    ),
    by_layer=False,
)

NAMES = Relation(
    "names",
    "what a cell is called, with one sign of its coefficients; cells without a name have none",
    (
        _CELL,
        _STACK,
        _LAYER,
        Column("sign", "TINYINT", "1; of gated cells also -1, for negative coefficients"),
        Column("name", "VARCHAR", "one line of at most 60 characters"),
        Column("source", "VARCHAR", "who says so: `human`, `lm` (a language model), `rule`, `import`"),
        Column("mark", "VARCHAR", "where it comes from, as it stands beside a name: `rule B`, `lm 0.82`, `by hand`"),
        Column("grade", "VARCHAR", "of a name by rule: `A`, `B` or `C`, the surest first; else empty"),
        Column("score", "DOUBLE", "F1 of a rule, balanced accuracy of a language model's label; NULL if not measured"),
        Column("topic", "VARCHAR", "the topic that the name claims; else empty"),
        Column("kind", "VARCHAR", "what it speaks of: `token`, `field`, `dead`, ...; may be empty"),
        Column("n_others", "INTEGER", "other labels of it, which say something else"),
    ),
    by_layer=False,
)

RELATIONS = (CELLS, TRIGGERS, PROMOTED, SENTENCES, DOCUMENTS, LAYERS, NAMES)
"""Every table; each is a view of `ffmem query` and a file of `ffmem export`."""
