"""Takes the pictures of docs/explorer/ from a running explorer: each page on a desk and on a phone, in light and dark.

    ffmem serve INDEX OTHER --port 8765     # an index with the results of a study, and another one
    python docs/screenshots.py http://127.0.0.1:8765 [NAME ...]

The annotation pages show the first batch, which must have been drawn, and the atlas a picture that `ffmem atlas` has made.
"""

import shutil
import sys
from pathlib import Path

from playwright.sync_api import sync_playwright

PAGES = {
    "overview": "/",
    "cells": "/cells?layer=L12&sort=max",
    "cell": "/cells/L9.203",
    "similar": "/cells/L9.203/similar",
    "sentence": "/sentences/1234",
    "search": "/search?q=train%20promotes:station",
    "atlas": "/atlas?colour=layer",
    "prompt": "/prompt?text=The%20trains%20of%20the%20new&change=L14.420*3&change=L12.85*0",
    "map": "/map?text=The%20trains%20of%20the%20new",
    "flow": "/flow?text=The%20trains%20of%20the%20new",
    "attention": "/attention?text=The%20trains%20of%20the%20new&layer=L3&heads=L3",
    "annotate": "/annotate",
    "annotate-cell": "/annotate/batch-1/ann/3",
    "figures": "/figures#figure-4-do-values-predict-what-follows-their-keys--triggers-",
    "diff": "/diff",
    "diff-cell": "/diff/L12.97",
}
SLOW = ("cell", "figures", "atlas", "prompt", "map", "flow", "attention")
"""What goes on drawing once the page is there: shades of every token, charts."""
SIZES = {"desk": (1280, 860), "phone": (390, 760)}


def main() -> None:
    """Take them all, or those that are named."""
    out = Path(__file__).parent / "explorer"
    out.mkdir(exist_ok=True)
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=shutil.which("chromium"), args=["--no-sandbox", "--disable-gpu"]
        )
        for size, (width, height) in SIZES.items():
            for scheme in ("light", "dark"):
                context = browser.new_context(viewport={"width": width, "height": height}, color_scheme=scheme)
                page = context.new_page()
                for name, address in PAGES.items():
                    if sys.argv[2:] and name not in sys.argv[2:]:
                        continue
                    page.goto(sys.argv[1] + address, timeout=120_000)
                    page.wait_for_timeout(9000 if name in SLOW else 2500)
                    page.screenshot(path=out / f"{name}-{size}-{scheme}.jpg", type="jpeg", quality=62)
                context.close()
        browser.close()


if __name__ == "__main__":
    main()
