"""Inside, transformers says nothing about its own affairs; afterwards all is as it was."""

from pathlib import Path

import pytest
from transformers import GPT2Config, GPT2Model
from transformers.utils import logging

from ffmem.models.quiet import quiet

LEVELS = (logging.DEBUG, logging.WARNING, logging.ERROR, logging.CRITICAL)


@pytest.fixture(autouse=True)
def put_back() -> object:
    level, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    yield
    logging.set_verbosity(level)
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()


@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("bars", [True, False])
def test_settings_are_put_back_whatever_they_were(level: int, bars: bool) -> None:
    logging.set_verbosity(level)
    (logging.enable_progress_bar if bars else logging.disable_progress_bar)()
    with quiet():
        assert logging.get_verbosity() == logging.ERROR and not logging.is_progress_bar_enabled()
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (level, bars)
    with pytest.raises(ZeroDivisionError), quiet(), quiet():  # also one within another, and after a fault
        raise ZeroDivisionError
    assert (logging.get_verbosity(), logging.is_progress_bar_enabled()) == (level, bars)


def test_loading_a_model_writes_nothing(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    config = GPT2Config(n_embd=8, n_layer=1, n_head=1, vocab_size=9, n_positions=8, bos_token_id=0, eos_token_id=0)
    GPT2Model(config).save_pretrained(tmp_path)

    def load() -> tuple[str, list[str]]:
        capfd.readouterr(), caplog.clear()
        GPT2Model.from_pretrained(tmp_path)
        logging.get_logger("transformers.tests").warning("about its own affairs")
        return capfd.readouterr().err, caplog.messages

    logging.set_verbosity(logging.WARNING)
    logging.enable_progress_bar()
    written, messages = load()
    assert "100%" in written and messages == ["about its own affairs"]  # or this test would show nothing
    with quiet():
        assert load() == ("", [])
