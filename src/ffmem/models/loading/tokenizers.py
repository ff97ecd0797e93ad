"""Tokenizers as fast ones, which give byte offsets; those that are converted are held to the program that they come from."""

import base64
import json
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

from ffmem.errors import InputError
from ffmem.extras import extra_module
from ffmem.models.base import ConfigFile
from ffmem.models.loading.accounting import check_unembedding
from ffmem.models.loading.marian_tokenizer import from_marian
from ffmem.models.samples import TEXTS
from ffmem.models.transformer import Transformer

TOKENIZER_FILES = ("tokenizer.json", "tokenizer.model", "spiece.model", "sentencepiece.bpe.model", "tekken.json", "vocab.json",
                   "vocab.txt", "source.spm")  # fmt: skip
_SENTENCEPIECE = ("tokenizer.model", "spiece.model", "sentencepiece.bpe.model")
Reference = Callable[[str], list[int]]
"""From a text to the ids of its tokens, without special ones."""


def read_tokenizer(view: Path, folder: Path, *, trust_remote_code: bool = False) -> Any:
    """The tokenizer of a folder as a fast one, which neither cuts nor fills.

    Args:
        view: the folder as transformers is to see it.
        folder: the folder itself, for messages.
        trust_remote_code: whether its own code may be run.

    Raises:
        InputError: there is none, it cannot be read, or it cannot be proved that its fast form gives the same tokens.
    """
    if not any((view / name).is_file() for name in (*TOKENIZER_FILES, "tokenizer_config.json")):
        raise InputError(
            f"the tokenizer of {folder} cannot be read: there is none",
            "Expected a tokenizer.json beside the weights",
            "Save model and tokenizer into that folder, or download it again",
        )
    _check_packages(view, folder)
    try:
        from transformers import AutoTokenizer

        with warnings.catch_warnings():  # Marian's, about a package for a step that tokenizing does not take
            warnings.filterwarnings("ignore", message="Recommended: pip install sacremoses")
            tokenizer: Any = AutoTokenizer.from_pretrained(
                view, local_files_only=True, trust_remote_code=trust_remote_code
            )
    except Exception as error:  # whatever the library meets in damaged files: it raises a dozen types of its own
        raise InputError(
            f"the tokenizer of {folder} cannot be read: "
            f"{(str(error).strip().splitlines() or [type(error).__name__])[0][:300]}",
            "Expected the files that save_pretrained writes",
            "Save model and tokenizer into that folder, or download it again",
        ) from error
    if type(tokenizer).__name__ == "MarianTokenizer":
        slow, tokenizer = tokenizer, from_marian(view, folder)
        n_known, unknown = len(slow.encoder), slow.unk_token_id
        _prove(tokenizer, folder, lambda text: list(slow(text).input_ids), whole=True, beyond=(n_known, unknown))
    elif not getattr(tokenizer, "is_fast", False):
        raise InputError(
            f"the tokenizer of {folder} is a slow one, without a tokenizer.json: {type(tokenizer).__name__}",
            "Expected a fast tokenizer: byte offsets come from it",
            "Use a version of this model that has a tokenizer.json, or another model: transformers has no "
            "fast form of this one",
        )
    elif not (view / "tokenizer.json").is_file():
        reference = _reference(view, folder, tokenizer)
        if any((view / name).is_file() for name in _SENTENCEPIECE) and not _agree(tokenizer, TEXTS[0], reference):
            _begin_with_a_space(tokenizer)
        _prove(tokenizer, folder, reference)
    # settings for a batch of its author's, which would cut sentences, and which a call may or may not reset
    tokenizer.backend_tokenizer.no_truncation()
    tokenizer.backend_tokenizer.no_padding()
    return tokenizer


def _check_packages(view: Path, folder: Path) -> None:
    """The packages that a tokenizer without a tokenizer.json is read with."""
    if (view / "tokenizer.json").is_file():
        return
    pieces = [name for name in (*_SENTENCEPIECE, "source.spm") if (view / name).is_file()]
    if pieces:
        extra_module("sentencepiece", "tokenizers", f"{folder} has its tokenizer in {pieces[0]} alone")
        extra_module("google.protobuf", "tokenizers", f"{folder} has its tokenizer in {pieces[0]} alone")
    if (view / "tekken.json").is_file():
        extra_module("tiktoken", "tokenizers", f"{folder} has its tokenizer in tekken.json alone")


def _reference(view: Path, folder: Path, tokenizer: Any) -> Reference:
    """The program that a tokenizer's files are made for, or another implementation of it."""
    pieces = [name for name in _SENTENCEPIECE if (view / name).is_file()]
    if (view / "tekken.json").is_file():
        return _tekken(view / "tekken.json")
    if pieces:
        return _sentencepiece(view / pieces[0], folder, tokenizer)
    if (view / "merges.txt").is_file() and (view / "vocab.json").is_file():
        from tokenizers import ByteLevelBPETokenizer

        prefix = bool(_settings(view).get("add_prefix_space", False))
        bpe: Any = ByteLevelBPETokenizer.from_file(
            str(view / "vocab.json"), str(view / "merges.txt"), add_prefix_space=prefix
        )
        return lambda text: list(bpe.encode(text).ids)
    if (view / "vocab.txt").is_file():
        from tokenizers import BertWordPieceTokenizer

        settings = _settings(view)
        words: Any = BertWordPieceTokenizer(
            str(view / "vocab.txt"),
            lowercase=bool(settings.get("do_lower_case", True)),
            strip_accents=settings.get("strip_accents"),
            handle_chinese_chars=bool(settings.get("tokenize_chinese_chars", True)),
        )
        return lambda text: list(words.encode(text, add_special_tokens=False).ids)
    raise InputError(
        f"the tokenizer of {folder} has no tokenizer.json, and its other files are not of a kind that can be checked",
        "Expected a tokenizer.json, a SentencePiece model, tekken.json, vocab.json with merges.txt, or vocab.txt",
        "Save model and tokenizer into that folder, or download it again",
    )


def _settings(view: Path) -> ConfigFile:
    file = view / "tokenizer_config.json"
    found: ConfigFile = json.loads(file.read_bytes()) if file.is_file() else {}
    return found


def _sentencepiece(file: Path, folder: Path, tokenizer: Any) -> Reference:
    import sentencepiece

    processor: Any = sentencepiece.SentencePieceProcessor()
    try:
        processor.load(str(file))
    except (RuntimeError, OSError) as error:
        raise InputError(
            f"{file.name} in {folder} is not a SentencePiece model, and nothing says how it splits a text "
            "before it is encoded",
            "Expected a SentencePiece model, or a tokenizer.json",
            "Use the tokenizer.json of a repository of this model in the format of transformers",
        ) from error
    vocabulary, unknown = tokenizer.get_vocab(), tokenizer.unk_token_id
    return lambda text: [vocabulary.get(piece, unknown) for piece in processor.encode(text, out_type=str)]


def _tekken(file: Path) -> Reference:
    import tiktoken

    found = json.loads(file.read_bytes())
    settings = found["config"]
    n_special = int(settings["default_num_special_tokens"])
    n_words = int(settings["default_vocab_size"]) - n_special
    ranks = {base64.b64decode(token["token_bytes"]): int(token["rank"]) for token in found["vocab"][:n_words]}
    words = tiktoken.Encoding("tekken", pat_str=settings["pattern"], mergeable_ranks=ranks, special_tokens={})
    return lambda text: [n_special + number for number in words.encode(text, disallowed_special=())]


def _begin_with_a_space(tokenizer: Any) -> None:
    """Put a space before each text, as models of SentencePiece do that say so and transformers does without a config."""
    from tokenizers import normalizers

    backend = tokenizer.backend_tokenizer
    backend.normalizer = normalizers.Sequence([normalizers.Prepend("▁"), normalizers.Replace(" ", "▁")])
    backend.pre_tokenizer = None


def _agree(tokenizer: Any, text: str, reference: Reference) -> bool:
    return list(tokenizer(text, add_special_tokens=False).input_ids) == reference(text)


def _prove(
    tokenizer: Any, folder: Path, reference: Reference, *, whole: bool = False, beyond: tuple[int, int] | None = None
) -> None:
    """Hold a tokenizer to another that must give the same ids.

    Args:
        tokenizer: the fast one.
        folder: where it lies, for messages.
        reference: the other.
        whole: special tokens included.
        beyond: an id from which on its ids stand for one of the other's, which knows no difference between them.
    """
    for text in (*TEXTS, *_from_vocabulary(tokenizer)):
        theirs: list[Any]
        try:
            ours, theirs = list(tokenizer(text, add_special_tokens=whole).input_ids), reference(text)
        except Exception as error:  # noqa: BLE001 (either library may stumble over a text; then nothing is proved)
            ours, theirs = [], [str(error)[:80]]
        if beyond is not None:
            ours = [beyond[1] if number >= beyond[0] else number for number in ours]
        if ours != theirs:
            raise InputError(
                f"the tokenizer of {folder} has no tokenizer.json, and its conversion splits "
                f"{text!r} otherwise than it "
                f"does: {ours[:12]} against {theirs[:12]}",
                "Expected the same tokens",
                "Use the tokenizer.json of a repository of this model in the format of transformers",
            )


def _from_vocabulary(tokenizer: Any) -> list[str]:
    """Texts made of a tokenizer's own tokens, in an order that has nothing to do with theirs."""
    special = set(tokenizer.all_special_tokens)
    known = [
        token for token in tokenizer.get_vocab() if token not in special and not token.startswith(("<", "[", "\ue000"))
    ]
    tokens = sorted(known, key=lambda token: (hash_of_text(token), token))[:600]
    texts = [tokenizer.convert_tokens_to_string(tokens[start : start + 12]) for start in range(0, len(tokens), 12)]
    return [text for text in texts if "\ufffd" not in text and "\ue000" not in text]


def hash_of_text(text: str) -> int:
    """A number of a text, the same in every process."""
    number = 0
    for byte in text.encode(errors="replace"):
        number = (number * 31 + byte) % 1_000_003
    return number


def check_vocabulary(model: Transformer) -> None:
    """Refuse an unembedding that is not finite, and, when a text has one, tokens that the embedding has no row for.

    Raises:
        InputError: the tokenizer knows no token that the model has a row for.
        ModelError: the unembedding holds NaN.
    """
    tokens, embedding = model.tokenizer.get_vocab(), model.module.get_input_embeddings()
    if model.unembedding.rows is not None:
        check_unembedding(model.facts.name, model.unembedding.rows, model.tokenizer.convert_ids_to_tokens)
    n_rows = getattr(embedding, "num_embeddings", model.facts.d_vocab)
    beyond = sorted(number for number in tokens.values() if number >= n_rows)
    if 2 * len(beyond) > len(tokens):
        raise InputError(
            f"the tokenizer of {model.facts.name} has {len(tokens):,} tokens, up to the id "
            f"{max(tokens.values()):,}, and the embedding "
            f"{n_rows:,} rows",
            "Expected a row for each token: this looks like the tokenizer of another model",
            "Save the tokenizer that the model was trained with into its folder",
        )
    model.n_embedded = n_rows if beyond else None
    if beyond:

        def check(_: Any, arguments: tuple[Any, ...]) -> None:
            model.check_tokens(int(arguments[0].max()))

        model.forget_token_check = embedding.register_forward_pre_hook(check).remove
