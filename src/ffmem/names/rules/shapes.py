"""What tokens look like, beyond their shape: script, kind of punctuation, units of measure."""

import unicodedata

PLURALS = {
    "a lower-case word": "words in lower case",
    "a capitalised word": "capitalised words",
    "a word in capitals": "words in capitals",
    "a word without case": "words without case",
    "a number": "numbers",
    "punctuation": "punctuation",
    "white space": "white space",
    "mixed characters": "letters mixed with signs",
    "the continuation of a word": "ends of words",
}
"""Of the shapes of `analyses.patterns.lexical`, as a name has them."""
UNITS = frozenset(
    [
        "mm",
        "cm",
        "m",
        "km",
        "nm",
        "inch",
        "inches",
        "foot",
        "feet",
        "ft",
        "yard",
        "yards",
        "mile",
        "miles",
        "mi",
        "acre",
        "acres",
        "hectare",
        "hectares",
        "litre",
        "litres",
        "liter",
        "liters",
        "ml",
        "gallon",
        "gallons",
        "pint",
        "pints",
        "cup",
        "cups",
        "mg",
        "g",
        "gram",
        "grams",
        "kg",
        "kilo",
        "kilos",
        "kilogram",
        "kilograms",
        "ton",
        "tons",
        "tonne",
        "tonnes",
        "ounce",
        "ounces",
        "oz",
        "pound",
        "pounds",
        "lb",
        "lbs",
        "second",
        "seconds",
        "sec",
        "minute",
        "minutes",
        "min",
        "hour",
        "hours",
        "day",
        "days",
        "week",
        "weeks",
        "month",
        "months",
        "year",
        "years",
        "decade",
        "decades",
        "century",
        "centuries",
        "metre",
        "metres",
        "meter",
        "meters",
        "kilometre",
        "kilometres",
        "kilometer",
        "kilometers",
        "degree",
        "degrees",
        "percent",
        "%",
        "°",
        "°c",
        "°f",
        "hz",
        "khz",
        "mhz",
        "ghz",
        "watt",
        "watts",
        "kw",
        "volt",
        "volts",
        "kb",
        "mb",
        "gb",
        "tb",
        "bit",
        "bits",
        "byte",
        "bytes",
        "dollar",
        "dollars",
        "euro",
        "euros",
        "cent",
        "cents",
    ]
)
_SIGNS = {
    **dict.fromkeys(",،、，", "a comma"), **dict.fromkeys(".。．", "a full stop"), **dict.fromkeys(";:；：", "a colon"),
    **dict.fromkeys("?？", "a question mark"), **dict.fromkeys("!！", "an exclamation mark"),
    **dict.fromkeys("-‐‑–—", "a dash"),
}  # fmt: skip
_BY_CATEGORY = {
    "Ps": "an opening bracket", "Pe": "a closing bracket", "Pi": "an opening quote", "Pf": "a closing quote",
    "Sm": "a mathematical sign", "Sc": "a currency sign",
}  # fmt: skip


def script_of(token: str) -> str:
    """The script of a token's first letter, such as "Cyrillic"; empty without a letter."""
    letter = next((one for one in token if one.isalpha()), None)
    if letter is None:
        return ""
    name = unicodedata.name(letter, "").split(" ")[0].split("-")[0]
    return {"CJK": "Chinese characters"}.get(name, name.capitalize())


def punctuation_of(token: str) -> str:
    """Which punctuation a token is, such as "a closing bracket"; empty for what is none, or several."""
    core = token.strip()
    kinds = {_SIGNS.get(one) or _BY_CATEGORY.get(unicodedata.category(one), "") for one in core}
    return next(iter(kinds)) if len(kinds) == 1 else ""
