"""A bare page in a frame of another site's page, in a real browser: where it was allowed, and where it was not."""

import contextlib
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from ffmem import Index
from ffmem.server.app import make_app
from ffmem.server.opening import open_explorer
from ffmem.server.sharing.settings import Sharing
from ffmem.server.sharing.tokens import Tokens
from tests.server.test_nginx import listening

TOKENS = Tokens("read ann a-token-of-ann-0123456789", "a test")


@contextlib.contextmanager
def another_site() -> Iterator[str]:
    """The origin of a site that shows the address that it is asked for in a frame."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            address = self.path.partition("?")[2]
            body = f'<!doctype html><title>notes</title><iframe src="{address}" width="700" height="500"></iframe>'.encode()
            self.send_response(200)
            self.send_header("content-type", "text/html")
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            pass

    site = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    Thread(target=site.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{site.server_port}"
    site.shutdown()
    site.server_close()


@pytest.mark.parametrize(
    ("allowed", "login", "public", "heading"),
    [
        (True, False, False, "L1.3"),
        (False, False, False, ""),
        (True, True, False, "Log in"),
        (True, True, True, "L1.3"),
    ],
)
def test_a_cell_in_a_page_of_another_site(
    allowed: bool, login: bool, public: bool, heading: str, index_of: Callable[[str], Index], chromium: Any
) -> None:
    explorer = open_explorer(index_of("gpt2").folder, with_model=False)
    with another_site() as origin:
        origins = (origin if allowed else "https://elsewhere.example",)
        sharing = Sharing(TOKENS if login else None, embed_in=origins, embed_public=public)
        with listening(make_app(explorer, ("localhost",), sharing)) as port:
            page = chromium.new_page()
            answered = page.goto(f"{origin}/?http://localhost:{port}/cells/L1.3?embed=1")
            assert answered.ok
            frame = page.frames[-1]
            if heading:
                frame.wait_for_selector(f"h1:has-text('{heading}')")
            shown = frame.locator("h1").all_inner_texts() if frame.url.startswith("http://localhost") else []
            assert [one[: len(heading)] for one in shown] == ([heading] if heading else []), (frame.url, shown)
            if heading == "L1.3":
                assert frame.locator("header").count() == 0 and frame.locator("ol.triggers li").count() > 0
                assert frame.evaluate("getComputedStyle(document.body).maxWidth") != "none"  # its style came
            page.close()
