"""Texts that want to do harm, by name."""

import random

SHORT = {
    "controls": "".join(map(chr, range(1, 32))) + " del \x7f c1 \x80\x9b31m\x9f end. Next one.",
    "escapes": "\x1b[31mred\x1b[0m \x1b]0;title\x07 \x1b[2J\x1b[H gone. \x1bP1;2|x\x1b\\ \x9b2J",
    "bidi": "abc \u202edesrever\u202c \u2066isolate\u2069 \u200f\u061c שלום עולם. مرحبا بالعالم.",
    "zero-width": "zero\u200bwidth\u200d\u200c\ufeff joiner\u2060. " + "\u200b" * 200,
    "combining": "Z" + "\u0300\u0301\u0302\u0489" * 400 + " algo. x" + "\u20dd" * 50,
    "html": "<script>alert('1')</script> <img src=x onerror=\"alert(2)\"> &amp; </td></table><b>bold. <!-- --> ]]>",
    "markdown": "# Head **bold** [a](javascript:alert(1)) `code` | a | b |\n|---|---|\n~~~\nfence. ![x](http://x)",
    "crlf": "One.\r\nTwo.\rThree.\n\rFour.\r\n\r\nFive\x0bsix\x0cseven\x1c\x1d\x1e\x85eight\u2028nine\u2029ten.",
    "bom": "\ufeffstarts with a BOM. Has \ufeff one inside. \ufffe \uffff",
    "emoji": "👨‍👩‍👧‍👦 👩🏽‍🚀 🏳️‍🌈 🇩🇪🇫🇷 1️⃣. " + "👨‍👩‍👧‍👦" * 60 + " end.",
    "ids": "L0.0 L9.2997 dec.L3.12 L9.e5.77. L0.0' OR 1=1; --. L999999999.999999999",
    "sql": '\'; DROP TABLE sentences; -- " OR ""=". NEAR(a b, 3) AND NOT * ^col : {a b}. % _ \\',
    "paths": "../../etc/passwd C:\\CON\\nul /dev/zero file:///etc/shadow ~root $HOME `id` $(reboot) %s %n {0.__class__}.",
    "special": "<s> <pad> </s> [CLS] [SEP] [MASK] [UNK] <|endoftext|> Ġword Ċ ▁under.",
    "astral": "𝔘𝔫𝔦𝔠𝔬𝔡𝔢 𒀀𒀁 \U0010ffff \U000e0041\U000e0042 private \ue000. Ⅷ ﬃ ß İ ı ǆ",
    "digits": "9" * 300 + ". 1e999 NaN Infinity -0 ٣٤٥ ⅷ.",
    "marks": "." * 300 + "!?" * 100 + "…" * 50 + "\u3002" * 50,
    "spaces": "a\u00a0b\u3000c\u2003d\u1680e\u180ef" + "\t" * 100 + "end.",
    "only spaces": " \t\r\n\u00a0\u3000",
}
"""Each is both the text and, as it stands, a name and metadata."""


def long_texts(n_bytes: int) -> dict[str, str]:
    """Texts of about this length without a line end."""
    rng = random.Random(0)
    words = ["the", "of", "river", "Mr.", "it", "was.", "No!", "naïve", "日本語", "😀"]
    return {
        "sentences": " ".join(rng.choices(words, k=n_bytes // 5)),
        "no end": " ".join(rng.choices(["the", "of", "river", "stone"], k=n_bytes // 5)),
        "word": "".join(rng.choices("abcdefgh", k=n_bytes)),
        "letter": "a" * n_bytes,
        "marks": "." * n_bytes,
        "spaces": "a" + " " * n_bytes + "b",
        "combining": "a" + "\u0301" * (n_bytes // 2),
        "emoji": "👨‍👩‍👧‍👦" * (n_bytes // 25),
        "cjk": "日本語" * (n_bytes // 9),
        "quotes": '"a b. ' * (n_bytes // 6),
    }
