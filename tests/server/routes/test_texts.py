"""What every view of a text is asked with, the same on all of them."""

import pytest
from starlette.testclient import TestClient

from ffmem.server.limits import MAX_CHANGES
from tests.server.conftest import HTML
from tests.server.page import assert_sound

TEXT = "the old river of the village"
PAGES = ("prompt", "map", "attention")


@pytest.mark.parametrize("page", PAGES)
def test_a_text_is_carried_from_view_to_view(page: str, client: TestClient) -> None:
    asked = {"text": TEXT, "target": "s", "against": "e", "change": ["L1.3*0"], "where": "last", "new": 3, "at": 2}
    shown = assert_sound(client.get(f"/{page}", params=asked, headers=HTML).text)
    tabs = shown.one("nav", class_="views").all("a")
    assert [one.words for one in tabs if "aria-current" in one.attributes] == [page.capitalize()]
    for tab in tabs:
        again = assert_sound(client.get(tab.attributes["href"], headers=HTML).text)
        sent = [(one.attributes["name"], one.attributes.get("value")) for one in again.by_id("ask").all("input")]
        for name, value in asked.items():
            if name not in ("text", "where"):
                assert (name, value[0] if isinstance(value, list) else str(value)) in sent, (tab.words, name)
        chosen = [one for one in again.one("p", class_="reading-tokens").all("a") if "aria-current" in one.attributes]
        assert [one.attributes["title"] for one in chosen] == ["token 2"]


@pytest.mark.parametrize("page", PAGES)
def test_token_0_is_the_first_of_the_text_and_special_ones_have_no_number(page: str, client_of: object) -> None:
    client = client_of("llama")  # type: ignore[operator]
    shown = assert_sound(client.get(f"/{page}", params={"text": TEXT, "at": 0}, headers=HTML).text)
    strip = shown.one("p", class_="reading-tokens")
    links = strip.all("a")
    assert [one.attributes["title"] for one in links] == [f"token {place}" for place in range(len(links))]
    assert TEXT.startswith(links[0].text.replace("·", "").strip()) and "aria-current" in links[0].attributes
    told = client.get(f"/{page}.json", params={"text": TEXT, "at": 0}).json()
    assert told["state"]["at"] == 0
    if page == "map":
        assert told["map"]["at"] == len(strip.all("span")) == len(told["tokens"]) - len(links)


@pytest.mark.parametrize("page", PAGES)
def test_limits_are_told(page: str, client: TestClient) -> None:
    many = ", ".join(f"L1.{row % 48}*{row}" for row in range(MAX_CHANGES + 1))
    answer = client.get(f"/{page}.json", params={"text": TEXT, "change": many})
    assert answer.status_code == 400 and f"at most {MAX_CHANGES}" in answer.json()["error"]["message"]
    if page != "attention":
        assert client.get(f"/{page}.json", params={"text": TEXT, "target": "x" * 201}).status_code == 400
    assert client.get(f"/{page}.json").status_code == 400


@pytest.mark.parametrize("page", ["map", "attention", "flow"])
def test_changes_that_a_view_does_not_make_are_told_as_such(page: str, client: TestClient) -> None:
    """The numbers are those of the model as it is, and both the page and the data say so."""
    plain = client.get(f"/{page}.json", params={"text": TEXT}).json()
    asked = {"text": TEXT, "change": ["L1.3*0", "L0.2=50"]}
    told = client.get(f"/{page}.json", params=asked).json()
    assert told["not_applied"] == ["L1.3*0", "L0.2=50"] and plain["not_applied"] == []
    assert {**told, "state": 0, "not_applied": 0} == {**plain, "state": 0, "not_applied": 0}
    shown = client.get(f"/{page}", params=asked, headers=HTML).text
    notice = shown.split('class="notice"')[1].split("</p>")[0]
    assert "Changes are made on Prompt only." in notice and "L1.3" in notice and "set to 50" in notice
    link = notice.split('href="')[1].split('"')[0].replace("&amp;", "&")
    made = client.get(link.replace("/prompt?", "/prompt.json?")).json()
    assert made["intervention"]["changes"] == ["L1.3*0", "L0.2=50"] == made["controls"]["own"]["changes"]
    assert 'class="notice"' not in client.get(f"/{page}", params={"text": TEXT}, headers=HTML).text
