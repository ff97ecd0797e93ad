"""The page of a cell as an instrument, in a real browser: a text of one's own is shaded while it is typed."""

from collections.abc import Callable
from typing import Any

import pytest

from ffmem import Index
from tests.server.browser import Server


@pytest.fixture
def server(sampled_of: Callable[[str], Index], serve: Callable[..., Server]) -> Server:
    return serve(sampled_of("llama").folder)


def test_a_text_is_shaded_while_it_is_typed_and_survives_the_servers_end(
    server: Server, tab: Any, sampled_of: Callable[[str], Index]
) -> None:
    tab.goto(f"{server.url}/cells/L1.7")
    tab.wait_for_selector(".text .t", timeout=90_000)  # the model is there
    trigger = sampled_of("llama").cell("L1.7").triggers[0]
    tab.click("text=its strongest trigger")
    tab.wait_for_selector("#tried .peak")
    assert tab.text_content("#tried .tried") == trigger.text == tab.input_value("#try-text")
    assert f"token {trigger.position}:" in tab.get_attribute("#tried .peak", "title")
    tab.fill("#try-text", "<b>old</b> river")
    tab.wait_for_selector('#tried .tried:has-text("<b>old</b> river")')
    assert tab.text_content("#tried .tried") == "<b>old</b> river"
    assert tab.input_value(".knock input[name=text]") == "<b>old</b> river"
    linear = "getComputedStyle(document.querySelector('.density .counts.linear')).display"
    assert tab.evaluate(linear) == "none"
    tab.check(".density input[value=linear]")
    assert tab.evaluate(linear) == "block"
    server.stop()
    tab.fill("#try-text", "kept")
    tab.wait_for_selector("#tried .problem")
    assert "does not answer" in tab.text_content("#tried") and tab.input_value("#try-text") == "kept"
