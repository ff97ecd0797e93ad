"""How light the pages are in a real browser: what they weigh, how soon they can be read, and that nothing jumps on them."""

from typing import Any

import pytest
from fastapi.routing import APIRoute
from starlette.routing import Match

from ffmem.server.routes import ROUTERS
from tests.server.browser import Server, new_tab
from tests.server.visits import LOOK, PAGES

NO_PAGES = {"/annotate/go", "/search/filter", "/vega.js"}
"""Addresses that are not in the document and are no pages: two lead on, one is a script."""
MAX_SHIFT = 0.02
MAX_BYTES, MAX_REQUESTS = 400_000, 14
CHARTS_BYTES, CHARTS_REQUESTS = 2_600_000, 120
"""Of the page of figures: the script that draws charts, which the browser keeps for a day, and a picture of each."""
MAX_PAINT_MS, MAX_BLOCKED_MS = 3_000, 600
_WATCH = """
globalThis.measured = { shift: 0, blocked: 0, moved: [] };
new PerformanceObserver((list) => { for (const one of list.getEntries()) if (!one.hadRecentInput) {
  measured.shift += one.value;
  measured.moved.push(...one.sources.map((from) => (from.node?.outerHTML ?? from.node?.textContent ?? "").slice(0, 90)));
} }).observe({ type: "layout-shift", buffered: true });
new PerformanceObserver((list) => { for (const one of list.getEntries()) measured.blocked += Math.max(one.duration - 50, 0); })
  .observe({ type: "longtask", buffered: true });
"""
_WEIGH = """() => {
  const [page] = performance.getEntriesByType("navigation"), parts = performance.getEntriesByType("resource");
  const paint = performance.getEntriesByName("first-contentful-paint")[0];
  return { ...measured, paint: (paint?.startTime ?? 1e9) - page.responseEnd, requests: 1 + parts.length,
    bytes: [page, ...parts].reduce((sum, one) => sum + one.transferSize, 0) };
}"""


def routes() -> dict[str, APIRoute]:
    """Those of pages, by their paths."""
    found = [one for router in ROUTERS for one in router.routes if isinstance(one, APIRoute) and "GET" in one.methods]
    return {one.path: one for one in found if not one.include_in_schema and one.path not in NO_PAGES}


def test_every_page_is_visited() -> None:
    """A new page has to be measured, too."""
    visited = {f"/{page.partition('?')[0]}" for page in PAGES}
    missing = [
        path
        for path, route in routes().items()
        if not any(
            route.matches({"type": "http", "path": page, "method": "GET", "headers": []})[0] == Match.FULL
            for page in visited
        )
    ]
    assert not missing


def weighed(page: Any, address: str) -> dict[str, Any]:
    """What one visit measures; a second one if it took long, since another process may have been busy."""
    found = _visited(page, address)
    if found["paint"] > MAX_PAINT_MS or found["blocked"] > MAX_BLOCKED_MS:
        again = _visited(page, address)
        found |= {name: min(found[name], again[name]) for name in ("paint", "blocked")}
    return found


def _visited(page: Any, address: str) -> dict[str, Any]:
    page.goto(address, wait_until="load")
    page.wait_for_timeout(300)
    found: dict[str, Any] = page.evaluate(_WEIGH)
    return found


@pytest.mark.parametrize("width", [1280, 390])
def test_pages_are_light_and_nothing_jumps(everything: Server, chromium: Any, width: int) -> None:
    problems = []
    with new_tab(chromium, viewport={"width": width, "height": 900}) as page:
        page.add_init_script(_WATCH)
        for path in PAGES:
            found = weighed(page, f"{everything.url}/{path}")
            charts = path == "figures"
            limits = {
                "shift": MAX_SHIFT,
                "paint": MAX_PAINT_MS,
                "blocked": MAX_PAINT_MS if charts else MAX_BLOCKED_MS,
                "bytes": CHARTS_BYTES if charts else MAX_BYTES,
                "requests": CHARTS_REQUESTS if charts else MAX_REQUESTS,
            }
            over = {name: round(found[name], 3) for name, most in limits.items() if found[name] > most}
            problems += [(path, one, []) for one in page.evaluate(LOOK)]
            if over:
                problems.append((path, over, found["moved"][:4] if "shift" in over else []))
    assert not problems


BROKEN = {
    "a token is broken": "<p style='width:3em'><code class='token' style='overflow-wrap:anywhere'>abcdefghijkl</code>",
    "a number is not beside its bar": "<table><td style='width:9em'><i class='bar' style='display:block;height:9px;"
    "width:9em'></i><b class='n'>1<br>2<br>3</b></table>",
    "it is not in line with others": "<form class='filters' style='display:flex;align-items:center'>"
    "<input style='height:30px'><select style='height:38px'></select>",
    "a placeholder is cut": "<input placeholder='one, another and a third' style='width:5em'>",
    "": "<code class='token'>whole</code><input placeholder='one' style='width:9em'>",
}


@pytest.mark.parametrize("told", BROKEN)
def test_what_looks_wrong_is_seen(told: str, tab: Any) -> None:
    tab.set_content(BROKEN[told])
    assert {one.partition(":")[0] for one in tab.evaluate(LOOK)} == ({told} if told else set())


def test_a_page_has_no_other_pages_styles(everything: Server, tab: Any) -> None:
    tab.goto(f"{everything.url}/cells/L1.7")
    assert tab.evaluate("getComputedStyle(document.querySelector('#patterns')).paddingLeft") == "0px"


_FOCUSED = """() => {
  const one = document.activeElement, style = getComputedStyle(one), box = one.getBoundingClientRect();
  const seen = style.outlineStyle !== "none" && parseFloat(style.outlineWidth) >= 1;
  return { name: one.outerHTML.slice(0, 100), seen, body: one === document.body, top: one === document.documentElement };
}"""
_REACHABLE = """() => [...document.querySelectorAll("a[href], button, input, select, textarea, summary, [tabindex='0']")]
  .filter((one) => one.checkVisibility({ visibilityProperty: true }) && !one.disabled && one.type !== "hidden"
    && one.tabIndex >= 0 && !(one.type === "radio" && !one.checked)).length"""


@pytest.mark.parametrize("path", ["", "cells/L1.7", "search?q=river", "atlas", "annotate/b/ann/1", "collections/kept"])
def test_every_control_is_reached_by_keys_and_seen(everything: Server, tab: Any, path: str) -> None:
    tab.goto(f"{everything.url}/{path}")
    tab.wait_for_timeout(500)
    n, hidden, places = tab.evaluate(_REACHABLE), [], set()
    for _ in range(n + 20):
        tab.keyboard.press("Tab")
        found = tab.evaluate(_FOCUSED)
        if found["body"] or found["top"]:
            break
        places.add(tab.evaluate("[...document.querySelectorAll('*')].indexOf(document.activeElement)"))
        hidden += [] if found["seen"] else [found["name"]]
    assert not hidden
    n = min(n, tab.evaluate(_REACHABLE))  # what a script has put in the place of a link is a link less
    assert len(places) >= n  # none is passed over, and none holds the keys
