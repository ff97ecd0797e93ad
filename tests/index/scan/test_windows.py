"""Documents in windows: each token competes once, with its context before it."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

import ffmem
from ffmem import Index, IndexOptions, InputError, RunOptions, StoreError
from ffmem.index.verification.verify import verify_index
from ffmem.store.text import TextReader
from tests.index.test_build import check_lists, coefficients_of

IN_PROCESS = RunOptions(workers=0)


class TestWindows:
    SIZE, STRIDE = 20, 13

    @pytest.fixture
    def long_text(self, corpus: Path, tmp_path: Path) -> Path:
        """Documents of many windows, characters of many tokens among them."""
        paragraphs = corpus.read_text().split("\n\n")
        documents = [" ".join(paragraphs[i : i + 3]) + " 😀日本" * (i % 4) + " End." for i in range(0, 30, 3)]
        path = tmp_path / "long.txt"
        path.write_text("\n\n".join([*documents, "Short.", documents[0]]))
        return path

    @pytest.fixture
    def index(
        self, tiny_folder: Callable[[str], Path], small_options: IndexOptions, long_text: Path, tmp_path: Path
    ) -> Callable[..., Index]:
        def make(family: str = "llama", stride: int = self.STRIDE, **changes: object) -> Index:
            options = replace(small_options, split=f"windows:{self.SIZE}:{stride}", **{"holdout": 0.0} | changes)
            out = tmp_path / f"{family}-{len(list(tmp_path.iterdir()))}"
            return ffmem.build_index(tiny_folder(family), long_text, out, options=options, run=IN_PROCESS)

        return make

    @pytest.mark.parametrize(
        ("family", "per_sentence", "skip"),
        [("llama", "1", 0), ("gpt2", "all", 3), ("gpt2", "1", 9), ("bert", "all", 0)],
    )
    def test_lists_equal_brute_force(
        self,
        index: Callable[..., Index],
        tiny_folder: Callable[[str], Path],
        family: str,
        per_sentence: str,
        skip: int,
    ):
        built = index(family, per_sentence=per_sentence, skip_first=skip)
        found = coefficients_of(built, ffmem.load_model(tiny_folder(family)))
        context = built.text.context
        assert context is not None
        for sentence, layers in enumerate(found):  # 0 is no trigger
            for layer in layers:
                layer[: context[sentence]] = 0.0
        n_competing = sum(
            max(0, len(layers[0]) - max(skip, int(context[sentence]))) for sentence, layers in enumerate(found)
        )
        assert built.layer(0).counts[0, 0] == n_competing
        assert check_lists(built, found, per_sentence, skip) > 100

    def test_every_token_of_a_document_competes_once(self, index: Callable[..., Index], long_text: Path):
        built = index(duplicates="keep")
        documents = long_text.read_text().split("\n\n")
        tokenizer = ffmem.load_model(built.manifest.identity.model.source).tokenizer
        places: list[list[tuple[int, int]]] = [[] for _ in documents]
        for number in range(built.text.n_sentences):
            row = built.text.sentence(number)
            assert documents[row.document_id].encode()[row.start_byte :].startswith(row.text.encode())
            assert len(row.token_ids) <= self.SIZE
            for position in range(int(built.text.context[number]), len(row.token_ids)):
                byte = row.start_byte + int(row.token_starts[position])
                places[row.document_id].append((byte, int(row.token_ids[position])))
        for text, found in zip(documents, places, strict=True):
            assert [token for _, token in found] == tokenizer(text, add_special_tokens=False)["input_ids"]
            assert [byte for byte, _ in found] == sorted({byte for byte, _ in found})
        counts = built.manifest.counts
        assert counts.n_context_tokens == built.text.context.sum()
        assert built.layer(0).counts[0, 0] == counts.n_tokens - counts.n_context_tokens

    def test_it_verifies_and_damage_is_seen(self, index: Callable[..., Index]):
        built = index()
        found = verify_index(built, n_batches=1000)
        assert found.problems == ()
        assert found.same_bytes
        path = built.folder / "index" / "tokens.safetensors"
        arrays = load_file(path)
        context = arrays["context"]
        path.write_bytes(path.read_bytes().replace(context.tobytes(), (context + np.uint32(self.SIZE)).tobytes()))
        problems = verify_index(ffmem.open_index(built.folder), with_model=False).problems
        assert "a sentence of the text has more context than tokens" in problems
        save_file(arrays | {"context": context[:-1]}, path)
        with pytest.raises(StoreError, match="its arrays disagree about the number of sentences"):
            TextReader(path.parent)

    def test_without_overlap_there_is_no_context(self, index: Callable[..., Index]):
        built = index(stride=self.SIZE)
        assert built.text.context is None
        assert "context" not in load_file(built.folder / "index" / "tokens.safetensors")
        assert built.manifest.counts.n_context_tokens == 0

    def test_held_out_windows_keep_their_context(self, index: Callable[..., Index]):
        built = index(holdout=0.5, duplicates="keep")
        assert built.text.n_all_sentences > built.text.n_sentences
        for number in range(built.text.n_all_sentences):
            row = built.text.sentence(number)
            assert (built.text.context[number] > 0) == (row.start_byte > 0)

    def test_windows_longer_than_the_context(self, tiny_folder: Callable[[str], Path], long_text: Path, tmp_path: Path):
        with pytest.raises(InputError) as error:
            ffmem.build_index(
                tiny_folder("llama"),
                long_text,
                tmp_path / "i",
                options=IndexOptions(split="windows:64"),
                run=IN_PROCESS,
            )
        assert str(error.value) == (
            "--split asks for windows of 64 tokens, longer than the context. Expected at most 63 own tokens a window. "
            "Write --split windows:63."
        )
