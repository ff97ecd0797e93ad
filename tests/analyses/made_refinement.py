"""A refinement whose tops and scores are written by hand; everything else is 0."""

from dataclasses import fields

import numpy as np

from ffmem.analyses.contributors import KINDS
from ffmem.analyses.prefixes import Prefixes
from ffmem.analyses.refinement import Refinement


def refinement(
    residual: list[list[int]], ff: list[list[int]], output: list[list[int]], **given: np.ndarray
) -> Refinement:
    """R, Y and O of each prefix and layer."""
    tops = {"residual_top": np.array(residual), "ff_top": np.array(ff), "output_top": np.array(output)}
    shape = tops["ff_top"].shape
    empty = {field.name: np.zeros(shape, np.int64) for field in fields(Refinement)}
    for name in ("residual_log_probability", "participation", "softmax_participation"):
        empty[name] = np.zeros(shape, np.float32)
    for name in ("any_agrees", "active_agrees_output", *(f"{kind}_agrees" for kind in KINDS)):
        empty[name] = np.zeros(shape, bool)
    for kind in KINDS:
        empty[f"{kind}_chance"] = np.zeros(shape, np.float32)
        empty[f"{kind}_pull"] = np.zeros((0, shape[1]))
    empty["other_document"] = np.zeros(0, np.int64)
    empty["document"] = np.arange(shape[0])
    empty["last_scores"], empty["last_ranks"] = (
        np.zeros((shape[0], 3, 2), np.float32),
        np.zeros((shape[0], 3, 2), np.int64),
    )
    return Refinement(**(empty | tops | given))


def prefixes(positions: list[int]) -> Prefixes:
    """One prefix of each sentence, each a document, of the tokens 0, 1, 2, ..."""
    return Prefixes(
        sentences=tuple(np.arange(position + 1) for position in positions),
        sentence_ids=np.arange(len(positions)),
        document=np.arange(len(positions)),
        sentence=np.arange(len(positions)),
        position=np.array(positions),
    )
