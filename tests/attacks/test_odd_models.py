"""Odd folders, tokenizers and texts: an index has what a plain hook sees in each sentence alone, or the build is refused."""

import time
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, event, given, settings

import ffmem
from ffmem import FfmemError, Index, IndexOptions
from ffmem.store.keys import NO_TOKEN
from tests.attacks.odd_models import OddCase, OddTokenizer, PlainModel, cases
from tests.conftest import IN_PROCESS

ROUNDING = 1e-4
"""Of a layer's largest coefficient."""


def build(case: OddCase, folder: Path, batch_tokens: int | None = None) -> Index:
    if not (folder / "model").exists():
        case.write(folder / "model")
        (folder / "text.txt").write_text("\n\n".join(case.lines), encoding="utf-8")
    options = IndexOptions(
        top=3,
        promoted=2,
        holdout=0.0,
        split="lines",
        bos=case.bos,  # type: ignore[arg-type]
        skip_first=case.skip_first,
        batch_tokens=batch_tokens or case.batch_tokens,
    )
    out = folder / f"index-{options.batch_tokens}"
    return ffmem.build_index(folder / "model", folder / "text.txt", out, options=options, run=IN_PROCESS)


def check(index: Index, case: OddCase, plain: PlainModel) -> None:
    """Extremes, sums and triggers of every cell, and the text of every token, against the plain model."""
    text = index.text
    rows = [text.sentence(number) for number in range(text.n_sentences)]
    cut = index.manifest.counts.n_windows > 0
    whole = [plain.coefficients(row.text, case.bos, row.token_ids.tolist() if cut else None) for row in rows]
    for row in () if cut else rows:
        given = plain.tokenizer(row.text, add_special_tokens=False, return_offsets_mapping=True)
        assert given.input_ids == row.token_ids.tolist()
        for (start, end), own in zip(given.offset_mapping, row.token_strings(), strict=True):
            if "\\x" not in own and own.strip():  # a part of a character is shown by its bytes
                assert own.strip() in row.text[max(start - 1, 0) : end]
    for layer in range(index.n_layers):
        found = np.concatenate([one[layer][case.skip_first :] for one in whole])
        if not len(found):
            continue
        arrays = index.layer(layer)
        scale = float(np.abs(found).max())
        assert np.abs(arrays.maximum - found.max(0)).max() <= ROUNDING * scale
        assert np.abs(arrays.minimum - found.min(0)).max() <= ROUNDING * scale
        tokens, coefficients = arrays.trigger_token[:, 0], arrays.trigger_coefficient[:, 0]
        for cell, slot in np.argwhere(tokens != NO_TOKEN)[:: max(1, tokens.size // 50)].tolist():
            sentence, position = text.locate(int(tokens[cell, slot]))
            assert abs(whole[sentence][layer][position, cell] - coefficients[cell, slot]) <= ROUNDING * scale


def hold(case: OddCase, folder: Path) -> bool:
    """Whether the folder was accepted; if so, its index is right, and that of other batches too."""
    try:
        index = build(case, folder)
    except FfmemError:
        return False
    plain = PlainModel(folder / "model", case.variant)
    check(index, case, plain)
    check(build(case, folder, 1000 if case.batch_tokens < 1000 else 30), case, plain)
    return True


def try_many(tmp_path_factory: pytest.TempPathFactory, seconds: float, n: int, derandomize: bool) -> None:
    begin, counted = time.monotonic(), {True: 0, False: 0}

    @settings(
        max_examples=n,
        deadline=None,
        database=None,
        derandomize=derandomize,
        phases=[Phase.explicit, Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=cases())
    def tried(case: OddCase) -> None:
        if time.monotonic() - begin < seconds:
            accepted = hold(case, tmp_path_factory.mktemp("odd"))
            event("accepted" if accepted else "refused")
            counted[accepted] += 1

    tried()
    assert sum(counted.values()) >= min(n, 2)  # on a busy machine there is time for few
    assert counted[True] >= sum(counted.values()) / 5, counted  # where nearly all is refused, nothing is tested


@pytest.mark.slow
def test_odd_folders_are_read_right_or_refused(tmp_path_factory: pytest.TempPathFactory) -> None:
    try_many(tmp_path_factory, 45.0, 150, derandomize=True)


@pytest.mark.soak
def test_odd_folders_for_an_hour(tmp_path_factory: pytest.TempPathFactory) -> None:
    try_many(tmp_path_factory, 3600.0, 1_000_000, derandomize=False)


BYTES = OddTokenizer("bytes")
LINES = (
    *("the fox river the fox river the fox naïve 日本", "the fox river the fox river the fox naïve 日本 9"),
    *("the", "fox river", "river the the 9 ACGT ee", "river the the 9 ACGT ee fox", "ee ee ee ee"),
)
PROTEINS = ("ACDEFGHIKLMN", "GHIKLMNPQRSTV", "PQRACDEFGHIK", "WYWYWYWYWYW", "WYA")
PLAIN = [
    OddCase("llama", ({"is_causal": False},), BYTES, LINES, 40),
    OddCase("gpt2", ({"is_causal": False},), BYTES, LINES, 150),
    OddCase("bert", (), OddTokenizer("amino acids", template="<s> $A </s>", drops=True), PROTEINS, 40),
    OddCase(
        "llama",
        (),
        OddTokenizer("bases", template="<s> $A </s>", drops=True),
        ("ACGTACGTACGT", "ACGTACGTACA", "T"),
        150,
    ),
    OddCase("mistral", ({"sliding_window": 3},), BYTES, LINES, 40),
    OddCase("roberta", ({"pad_token_id": 20},), BYTES, LINES, 150),
    OddCase("opt", (), OddTokenizer("bytes", normalizer="NFKC", prefix_space=True), (*LINES, "ﬁn"), 150),
]


@pytest.mark.parametrize("case", PLAIN, ids=lambda case: f"{case.variant}-{case.tokenizer.kind}")
def test_these_are_accepted_and_right(case: OddCase, tmp_path: Path) -> None:
    assert hold(case, tmp_path)


def test_a_coincidence_of_lengths_is_no_proof_of_spans(tmp_path: Path) -> None:
    """A space put before the text and a character that is two bytes shorter add up: bytes would be off by one from there."""
    case = OddCase(
        "gpt2", (), OddTokenizer("bytes", normalizer="shorter", prefix_space=True), ("aeb cd", "ooze at"), 40
    )
    index = build(case, tmp_path)
    assert index.text.sentence(0).token_strings()[-2:] == ("c", "d")
    row, plain = index.text.sentence(0), PlainModel(tmp_path / "model", "gpt2")
    own = plain.tokenizer(row.text, add_special_tokens=False, return_offsets_mapping=True).offset_mapping
    assert (
        list(zip(row.token_starts.tolist(), row.token_ends.tolist(), strict=True)) == own
    )  # ASCII: characters are bytes
    check(index, case, plain)


def test_tokens_beyond_the_embedding_are_refused_by_name(tmp_path: Path) -> None:
    case = OddCase("llama", (), OddTokenizer("bytes", added=True), LINES, 40, too_few_rows=2)
    with pytest.raises(FfmemError, match=r"the token .(river|fox ). of the text .*the embedding of model 350 rows"):
        build(case, tmp_path)
