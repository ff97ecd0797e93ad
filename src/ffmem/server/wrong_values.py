"""Values that declared types refuse, in our words: of addresses, of bodies, and of the arguments of tools."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ffmem.errors import InputError
from ffmem.json_values import visible_json_text

_PLACES = ("query", "path", "body", "header", "cookie")
_LONGEST = 100
"""Characters of a wrong value that are shown."""
_MOST_NAMES = 8
Told = tuple[str, str, str]
"""What was got, what was expected, what to do."""


def wrong_values(errors: Sequence[Mapping[str, Any]]) -> InputError:
    """What pydantic found wrong, as an error of ours: the first in full, of others the names.

    Args:
        errors: as `ValidationError.errors` gives them: type, loc, msg, input, ctx.
    """
    first, names = errors[0], list(dict.fromkeys(_name(one) for one in errors))
    got, expected, mend = _TELL.get(first["type"], _otherwise)(names[0], first.get("input"), first.get("ctx") or {})
    others = names[1:][:_MOST_NAMES]
    if others:
        more = ", …" if len(names) - 1 > len(others) else ""
        mend = f"{mend}; {', '.join(others)}{more} {'is' if len(names) == 2 else 'are'} wrong too"
    return InputError(got, expected, mend)


def _name(error: Mapping[str, Any]) -> str:
    """Of the field, as whoever asks writes it; of something within a list, with its place there."""
    parts = error["loc"][1:] if error["loc"] and error["loc"][0] in _PLACES else error["loc"]
    if not parts or error["type"] == "json_invalid":
        return "the body"
    name, *within = (str(one) for one in parts)
    return f"{name} (number {int(within[0]) + 1})" if within and within[0].isdigit() else ".".join((name, *within))


def _shown(value: Any) -> str:
    plain = value is None or isinstance(value, bool | int | float | list | dict)
    text = visible_json_text(value) if plain else repr(value)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}…"


def _too_long(name: str, value: Any, limits: Mapping[str, Any]) -> Told:
    most = limits["max_length"]
    return f"{name} has {len(value):,} characters", f"Expected at most {most:,}", f"Shorten {name}"


def _too_short(name: str, value: Any, limits: Mapping[str, Any]) -> Told:
    got = f"{name} has {len(value):,} characters" if value else f"{name} is empty"
    return got, f"Expected {limits['min_length']:,} or more characters", f"Write {name}"


def _too_many(name: str, value: Any, limits: Mapping[str, Any]) -> Told:
    most, n = limits["max_length"], limits.get("actual_length") or len(value)
    return f"{name} has {n:,} values", f"Expected at most {most:,}", "Give fewer"


def _too_few(name: str, value: Any, limits: Mapping[str, Any]) -> Told:
    return f"{name} has {len(value):,} values", f"Expected {limits['min_length']:,} or more", "Give more"


def _missing(name: str, _: Any, __: Mapping[str, Any]) -> Told:
    return f"{name} is missing", "Expected a value", f"Add {name}"


def _no_choice(name: str, value: Any, limits: Mapping[str, Any]) -> Told:
    choices = str(limits["expected"]).replace("' or '", "', '").replace(" or ", ", ").replace("'", "")
    first = choices.lstrip(" ,").split(",")[0]
    listed = ", ".join(one.strip() or "nothing" for one in choices.split(","))
    return f"{name} is {_shown(value)}", f"Expected one of: {listed}", f"Leave {name} out, or write {first.strip()}"


def _bound(words: str) -> Callable[[str, Any, Mapping[str, Any]], Told]:
    def told(name: str, value: Any, limits: Mapping[str, Any]) -> Told:
        limit = next(iter(limits.values()))
        return f"{name} is {_shown(value)}", f"Expected {words.format(f'{limit:,g}')}", "Choose another value"

    return told


def _of_kind(kind: str) -> Callable[[str, Any, Mapping[str, Any]], Told]:
    return lambda name, value, _: (f"{name} is {_shown(value)}", f"Expected {kind}", f"Correct {name}")


def _no_json(_: str, __: Any, ___: Mapping[str, Any]) -> Told:
    return "the body is not JSON", "Expected a JSON object", "Send one, with the header content-type: application/json"


def _otherwise(name: str, value: Any, _: Mapping[str, Any]) -> Told:
    return f"{name} is {_shown(value)}", "Expected another value", f"Correct {name}"


_WHOLE, _NUMBER, _YES_NO = (_of_kind(kind) for kind in ("a whole number", "a number", "true or false"))
_TEXT, _LIST, _OBJECT = (_of_kind(kind) for kind in ("text", "a list", "a JSON object"))
_TELL: dict[str, Callable[[str, Any, Mapping[str, Any]], Told]] = {
    "string_too_long": _too_long,
    "string_too_short": _too_short,
    "too_long": _too_many,
    "too_short": _too_few,
    "missing": _missing,
    "missing_argument": _missing,
    "literal_error": _no_choice,
    "enum": _no_choice,
    "greater_than_equal": _bound("{} or more"),
    "greater_than": _bound("more than {}"),
    "less_than_equal": _bound("at most {}"),
    "less_than": _bound("less than {}"),
    "int_parsing": _WHOLE,
    "int_parsing_size": _of_kind("a whole number of fewer digits"),
    "int_type": _WHOLE,
    "int_from_float": _WHOLE,
    "float_parsing": _NUMBER,
    "float_type": _NUMBER,
    "finite_number": _of_kind("a finite number"),
    "bool_parsing": _YES_NO,
    "bool_type": _YES_NO,
    "string_type": _TEXT,
    "list_type": _LIST,
    "dict_type": _OBJECT,
    "model_attributes_type": _OBJECT,
    "json_invalid": _no_json,
}
"""By pydantic's name of what is wrong."""
