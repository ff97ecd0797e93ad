"""How every test runs: one thread, no network. What tests share is in fixtures/, a file for each concern."""

# ruff: noqa: E402 (pytest is told to rewrite the asserts of what is imported here before it is)
import os
import signal

import pytest
import torch
from hypothesis import HealthCheck, settings

# before the fixtures below, which import the libraries that look for these once
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
if not torch.cuda.is_available():
    # Triton's interpreter runs a GPU's loops here. Models of transformers import triton.
    os.environ["TRITON_INTERPRET"] = "1"

# Libraries come before our own modules: what one whose shapes are checked is the first to import, jaxtyping's loader looks
# for in a cache of its own, and compiles anew in every process where Python may not write one.
import beartype  # noqa: F401
import numba  # noqa: F401
import transformers.masking_utils
import transformers.modeling_utils  # noqa: F401

pytest.register_assert_rewrite("tests.fixtures", "tests.server.browser")

from tests.fixtures.corpora import WORDS, write_corpus
from tests.fixtures.indexes import IN_PROCESS, SMALL_STUDY
from tests.fixtures.models import EXAMPLES, FAMILIES, VARIANTS, tiny_model
from tests.fixtures.tokenizers import TEXT, byte_level_tokenizer, word_piece_tokenizer

__all__ = [
    "EXAMPLES", "FAMILIES", "IN_PROCESS", "SMALL_STUDY", "TEXT", "VARIANTS", "WORDS",
    "byte_level_tokenizer", "tiny_model", "word_piece_tokenizer", "write_corpus",
]  # fmt: skip

pytest_plugins = [
    "tests.fixtures.corpora",
    "tests.fixtures.dictionaries",
    "tests.fixtures.facts",
    "tests.fixtures.indexes",
    "tests.fixtures.labelled",
    "tests.fixtures.models",
    "tests.fixtures.planted_memory",
    "tests.fixtures.shared",
    "tests.fixtures.training",
    "tests.server.browser",
    "tests.server.visits",
]

# No example has a deadline, which a busy machine would miss. The same ones are drawn each time, so that what passes here passes
# elsewhere; `pytest --hypothesis-profile new` looks for others.
for name, same in (("same", True), ("new", False)):
    settings.register_profile(name, deadline=None, derandomize=same, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("same")

torch.set_num_threads(1)  # it was imported before OMP_NUM_THREADS was set; tests run beside each other
if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
    # A shell starts what it runs in the background so, and the programs that tests stop with Ctrl-C would be deaf to it too.
    signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Files with a slow test come first: at the end, the processes that run files side by side have short ones left."""
    slow = {item.path for item in items if item.get_closest_marker("slow")}
    items.sort(key=lambda item: item.path not in slow)
