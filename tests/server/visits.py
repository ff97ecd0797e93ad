"""Every page of an explorer that has everything: a study, a second index, a batch, a collection, a model."""

import json
import shutil
import time
import urllib.request
from collections.abc import Callable

import pytest

import ffmem
from ffmem import Index
from ffmem.names.collection_queries import save
from ffmem.queries.table import cells
from tests.server.browser import Server

_TEXT = "text=the+old+river+of+the+village"
PAGES = (
    "", "cells", "cells?fires=never&sort=index", "atlas", "atlas?within=0,0,1,1", "search", "search?q=river",
    "search?q=%2Fri%3Fver%2F",
    "cells/L1.7", "cells/L1.7/shades", "cells/L1.7/similar", "cells/L1.7/compare?other=L1.8",
    f"cells/L1.7/try?{_TEXT}",
    "cells/L1.7/flatness", "cells/L1.7/name", "sentences/5", "sentences/5?at=1",
    "prompt", f"prompt?{_TEXT}&change=L1.3*0&layer=L1&at=2",
    "map", f"map?{_TEXT}&at=2", "attention", f"attention?{_TEXT}&heads=L1.H0&at=2", "flow", f"flow?{_TEXT}&pin=L1.3",
    "annotate", "annotate/b/ann/1", "collections", "collections/kept", "figures", "diff", "diff/L1.7",
    "cells/L1.7?embed=1", "no-such-page",
)  # fmt: skip
"""At least one address of every page; see `test_browser_weight.py`, which holds this list complete."""
LOOK = """() => {
  const middle = (one) => { const box = one.getBoundingClientRect(); return box.top + box.height / 2; };
  const seen = (one) => one.checkVisibility({ visibilityProperty: true }) && one.getBoundingClientRect().width > 1;
  const found = [], pen = document.createElement("canvas").getContext("2d");
  const tell = (what, one) => found.push(`${what}: ${one.outerHTML.slice(0, 80)}`);
  for (const one of document.querySelectorAll("code.token"))
    if (seen(one) && !/\\s/.test(one.textContent) && one.getClientRects().length > 1) tell("a token is broken", one);
  for (const one of document.querySelectorAll("td .bar, td .signed, td .stack")) {
    const number = one.parentElement.querySelector(":scope > .n");
    if (number && seen(one) && Math.abs(middle(one) - middle(number)) > 8) tell("a number is not beside its bar", one);
  }
  for (const form of document.querySelectorAll(".filters, .fields")) {
    const fields = "input:not([type=range], [type=checkbox], [type=radio]), select, button";
    const boxes = [...form.querySelectorAll(fields)].filter(seen);
    const end = (one) => one.getBoundingClientRect().bottom;
    for (const one of boxes)
      if (boxes.some((other) => Math.abs(middle(one) - middle(other)) < 12 && Math.abs(end(one) - end(other)) > 1.5))
        tell("it is not in line with others", one);
  }
  for (const one of document.querySelectorAll("input[placeholder]")) {
    const style = getComputedStyle(one);
    pen.font = style.font;
    const room = one.clientWidth - parseFloat(style.paddingLeft) - parseFloat(style.paddingRight) + 1;
    if (seen(one) && !one.value && pen.measureText(one.placeholder).width > room) tell("a placeholder is cut", one);
  }
  return found;
}"""
"""What on a page looks wrong, each in a line: broken tokens, numbers below their bars, fields out of line, cut placeholders."""


@pytest.fixture(scope="session")
def everything(
    studied_index: Index,
    index_of: Callable[[str], Index],
    serve: Callable[..., Server],
    tmp_path_factory: pytest.TempPathFactory,
) -> Server:
    """An explorer that has something to show on each of these pages; its model is loaded."""
    folder = tmp_path_factory.mktemp("everything") / "index"
    shutil.copytree(studied_index.folder, folder)
    save(ffmem.open_index(folder), "kept", "cells", {"limit": 3}, cells(studied_index, limit=3))
    server = serve(folder, index_of("wikilm").folder)
    sent = urllib.request.Request(f"{server.url}/annotate", b"name=b&per_layer=1&triggers=5", method="POST")
    urllib.request.urlopen(sent)
    _wait_for_model(server)
    return server


def _wait_for_model(server: Server) -> None:
    until = time.monotonic() + 60
    while time.monotonic() < until:
        with urllib.request.urlopen(f"{server.url}/model.json") as answer:
            if json.load(answer)["state"] == "ready":
                return
        time.sleep(0.1)
    raise AssertionError("the model is not ready")
