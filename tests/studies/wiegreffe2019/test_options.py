import pytest

from ffmem import InputError
from ffmem.studies.wiegreffe2019.options import DiagnosticOptions


@pytest.mark.parametrize(
    ("name", "value", "least"),
    [("positions", 0, 1), ("length", 3, 4), ("tuning_steps", -1, 0), ("guide_tokens", True, 4)],
)
def test_what_is_no_number_of_them_is_refused(name: str, value: object, least: int) -> None:
    flag = "--" + name.replace("_", "-")
    with pytest.raises(InputError, match=rf"{flag} is {value!r}(.|\n)*at least {least}"):
        DiagnosticOptions(**{name: value})  # type: ignore[arg-type]


def test_no_tuning_may_be_asked_for() -> None:
    assert DiagnosticOptions(tuning_steps=0, other=("x",)).to_json()["other"] == ["x"]
