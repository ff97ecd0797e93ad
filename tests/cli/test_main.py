"""Where errors go, and how a command ends."""

from collections.abc import Callable
from pathlib import Path

from ffmem import Index
from tests.cli.conftest import start_ffmem


def test_errors_go_to_stderr_with_their_exit_code(index_of: Callable[[str], Index], tmp_path: Path) -> None:
    folder = index_of("gpt2").folder
    _, message = start_ffmem("cell", folder, "L99.0", expect=2)
    assert message.startswith("ffmem: cell L99.0 does not exist") and "Traceback" not in message
    assert "Traceback" in start_ffmem("cell", folder, "L99.0", "--debug", expect=2)[1]
    assert "there is no index in" in start_ffmem("info", tmp_path, expect=1)[1]
    refused = start_ffmem("cells", folder, "--sort", "beauty", expect=2)
    assert "beauty" in "".join(refused)
    assert "Unknown option" in start_ffmem("info", folder, "--bogus", expect=2)[1]
