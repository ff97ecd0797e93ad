"""Changes as chips, read without the model."""

from collections.abc import Callable

from ffmem import Index
from ffmem.server.views.chips import chips


def test_a_chip_says_what_is_done_and_what_is_wrong(index_of: Callable[[str], Index]) -> None:
    found = chips(index_of("gpt2"), ("L1.3*0", "L1.3 * 2 @4", "L0.2=5", "L0.2+-1.5", "@few*0", "L9.1*0", "L1.3?"))
    assert [(one.label, one.words) for one in found[:5]] == [
        ("L1.3", "out"), ("L1.3", "× 2 at token 4"), ("L0.2", "set to 5"), ("L0.2", "raised by -1.5"), ("@few", "out")
    ]  # fmt: skip
    assert [str(one.cell) for one in found[:4]] == ["L1.3", "L1.3", "L0.2", "L0.2"] and found[4].cell is None
    assert not any(one.problem for one in found[:5])
    assert "L9" in found[5].problem and "is not a change of a cell" in found[6].problem
    assert [one.change for one in found[5:]] == ["L9.1*0", "L1.3?"]
