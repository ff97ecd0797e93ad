"""The tokenizer of Marian, two models of SentencePiece and a vocabulary of its own, as one fast tokenizer."""

import json
import re
from pathlib import Path
from typing import Any

from ffmem.errors import InputError
from ffmem.models.vocabulary import UNREACHABLE

_NORMAL, _USER = 1, 4
_REPLACED = "\ue001"


def from_marian(view: Path, folder: Path) -> Any:
    """A fast tokenizer that splits as the source model does, with ids from vocab.json.

    Pieces that vocab.json lacks are unknown to the model. They get ids behind its last, so that a text with one is refused.

    Raises:
        InputError: its models are of another kind, or cannot be read.
    """
    from sentencepiece import sentencepiece_model_pb2
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors
    from transformers import PreTrainedTokenizerFast

    vocabulary: dict[str, int] = json.loads((view / "vocab.json").read_bytes())
    messages: Any = sentencepiece_model_pb2  # which makes its classes as it is imported
    source = messages.ModelProto()
    source.ParseFromString((view / "source.spm").read_bytes())
    if (
        source.trainer_spec.model_type != 1
        or source.trainer_spec.byte_fallback
        or sorted(vocabulary.values()) != list(range(len(vocabulary)))
    ):
        raise InputError(
            f"the tokenizer of {folder} is not a unigram model with a vocabulary that counts from 0",
            "Expected source.spm and vocab.json as OPUS-MT has them",
            "Use a version of this model that has a tokenizer.json",
        )
    scores = {piece.piece: piece.score for piece in source.pieces if piece.type in (_NORMAL, _USER)}
    # a list by ids: with its score what the source model may choose, under another name what it may not
    entries = [("", 0.0)] * len(vocabulary)
    for token, number in vocabulary.items():
        kept = token in scores or token in ("<unk>", "</s>", "<pad>")
        entries[number] = (token if kept else UNREACHABLE + token, scores.get(token, 0.0))
    entries += [(piece, score) for piece, score in scores.items() if piece not in vocabulary]
    tokenizer = Tokenizer(models.Unigram(entries, unk_id=vocabulary["<unk>"], byte_fallback=False))
    languages = [token for token in vocabulary if token.startswith(">>") and token.endswith("<<")]
    steps: list[Any] = [normalizers.Replace(UNREACHABLE, _REPLACED)]
    # the code of a language stands at the beginning of a text, or it is text
    steps += [normalizers.Replace(Regex("^" + re.escape(token)), _REPLACED + token) for token in languages]
    if source.normalizer_spec.precompiled_charsmap:
        steps.append(normalizers.Precompiled(source.normalizer_spec.precompiled_charsmap))
    if source.normalizer_spec.remove_extra_whitespaces:
        steps += [normalizers.Strip(left=True, right=True), normalizers.Replace(Regex(" {2,}"), " ")]
    tokenizer.normalizer = normalizers.Sequence(steps)
    scheme: Any = "always" if source.normalizer_spec.add_dummy_prefix else "never"
    tokenizer.pre_tokenizer = pre_tokenizers.Metaspace(replacement="▁", prepend_scheme=scheme, split=False)
    tokenizer.decoder = decoders.Metaspace(replacement="▁", prepend_scheme=scheme)
    tokenizer.post_processor = processors.TemplateProcessing(
        single="$A </s>", special_tokens=[("</s>", vocabulary["</s>"])]
    )
    tokenizer.add_tokens([AddedToken(UNREACHABLE + token, normalized=True) for token in languages])
    return PreTrainedTokenizerFast(tokenizer_object=tokenizer, eos_token="</s>", unk_token="<unk>", pad_token="<pad>")
