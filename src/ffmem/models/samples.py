"""Texts to try a tokenizer or a model on: of several scripts, and of whatever a small vocabulary can spell."""

import random
from collections.abc import Iterator
from typing import Any

SENTENCES = (
    "The old bridge was closed.",
    "She asked whether the letters of 1987, which nobody had opened, were still in the drawer upstairs; they were not.",
    "No.",
    "Der Zug nach Köln fuhr über die große Brücke und hielt erst wieder am Abend.",
    "print(x[0] + 3.14)  # a comment",
    "a b c d e f g h i j k l m n o p q r s t u v w x y z",
    "Это письмо пришло вчера.",
    "駅の前に古い橋がある。",
    "MKTAYIAKQRQISFVKSHFSRQLEERLGLIEVQAPILSRVGDGTQDNLSGAEKAVQVKVKALPDAQFEVV",
    "acgtgcctagatcgattacgcaa ACGTGCCTAGATCGATTACGCAA",
    "4 8 15 16 23 42 0 1 2 3",
)
"""What a model is tried on. Written for this: lengths and scripts that differ."""

TEXTS = (
    *SENTENCES,
    "The quick brown fox jumps over the lazy dog.",
    "a",
    "I",
    " leading space",
    "trailing space ",
    "two  spaces,   three",
    "a tab\there",
    "two\nlines",
    "Hello, world! How's it going? (Fine.)",
    "UPPER lower MiXeD",
    "1,234.56 and 2026-11-27, 100 %, 3/4, 10^6",
    "price: $5 €7 £9 ¥11",
    "naïve café, Ångström, coöperate, São Paulo",
    "cafe\u0301 with a combining accent",
    "Übergrößenträger und Straßenbahnhaltestelle",
    "L'été, c'est l'amour ; n'est-ce pas ?",
    "¿Dónde está la biblioteca? ¡Aquí!",
    "Привет, мир! Как дела?",
    "Καλημέρα κόσμε",
    "שלום עולם",
    "مرحبا بالعالم",
    "नमस्ते दुनिया",
    "สวัสดีชาวโลก",
    "日本語の文章です。句読点、も。",
    "今天天气很好。",
    "안녕하세요 세계",
    "emoji 😀 and 👩\u200d👩\u200d👧 family",
    "full width ＡＢＣ１２３",
    "ligatures ﬁ ﬂ, ² ³ ½ №",
    "“quotes” ‘single’ — dash – en … ellipsis",
    "non\u00a0breaking and \u2009thin",
    "zero\u200bwidth",
    "https://example.com/a?b=c&d=e#f user@example.com",
    "def f(x):\n    return x ** 2  # square",
    "{'key': [1, 2, 3]} <tag attr=\"v\"/> a_b_c a-b-c a.b.c",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
    "antidisestablishmentarianism supercalifragilisticexpialidocious",
    "don't can't we'll they've I'm he'd",
    "▁ an underline of SentencePiece",
    "...!!!???---***",
    "x",
    "\u0000 a NUL",
)
"""What two tokenizers are compared on: spaces, numbers, and what normalisation may touch, besides."""

_N_SPELLED = 6


def sample_sentences(tokenizer: Any) -> list[str]:
    """Sentences that a fast tokenizer has tokens for, other than the one for the unknown; those it knows best first.

    Of a vocabulary that cannot spell any of ours (of amino acids, of digits), they are joined from its own tokens.

    Args:
        tokenizer: a fast tokenizer of transformers.

    Returns:
        At least one sentence if the tokenizer gives any text a token; else none.
    """
    backend = tokenizer.backend_tokenizer
    unknown = tokenizer.unk_token_id
    with_tokens: list[tuple[float, int, str]] = []
    for number, text in enumerate((*SENTENCES, *_spelled(tokenizer))):
        try:
            ids = backend.encode(text, add_special_tokens=False).ids
        except Exception:  # noqa: BLE001 (the library raises a plain one where a vocabulary has no unknown token)
            continue
        if ids:
            with_tokens.append((sum(token == unknown for token in ids) / len(ids), number, text))
    known = [text for share, _, text in sorted(with_tokens) if share < 0.5]
    return known or [text for _, _, text in sorted(with_tokens)]


def _spelled(tokenizer: Any) -> Iterator[str]:
    """Texts of a vocabulary's own tokens, joined and with spaces between them."""
    special = set(tokenizer.all_special_ids)
    ids = [number for number in sorted(tokenizer.get_vocab().values()) if number not in special]
    drawn = random.Random(0)
    for n in (3, 8, 20)[: _N_SPELLED // 2]:
        words = [tokenizer.decode([number]) for number in drawn.sample(ids, min(n, len(ids)))]
        yield "".join(words)
        yield " ".join(word.strip(" ") for word in words)
