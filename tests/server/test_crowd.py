"""A full house: who comes too late is told at once, and those inside are served."""

import asyncio
from typing import Any

import httpx2

from ffmem.server.crowd import RETRY_S, Crowd
from tests.server.page import assert_sound


def test_the_last_ones_are_told_to_come_back_and_nobody_waits_for_ever() -> None:
    open_door = asyncio.Event()

    async def slow(scope: Any, receive: Any, send: Any) -> None:
        await open_door.wait()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"served"})

    async def visit() -> tuple[list[Any], Any, Any, Any]:
        transport = httpx2.ASGITransport(app=Crowd(slow, most=3))
        async with httpx2.AsyncClient(transport=transport, base_url="http://localhost") as client:
            inside = [asyncio.create_task(client.get("/")) for _ in range(3)]
            await asyncio.sleep(0.05)
            late = await asyncio.wait_for(client.get("/a.json"), 5)
            page = await asyncio.wait_for(client.get("/a", headers={"accept": "text/html"}), 5)
            open_door.set()
            return await asyncio.gather(*inside), late, page, await client.get("/")

    inside, late, page, after = asyncio.run(visit())
    assert [one.text for one in inside] == ["served"] * 3 and after.text == "served"
    assert (late.status_code, late.headers["retry-after"]) == (503, str(RETRY_S))
    assert late.json()["error"]["got"] == "the explorer is answering 3 requests already"
    assert (page.status_code, page.headers["retry-after"]) == (503, str(RETRY_S))
    assert assert_sound(page.text).one("h1").words == "Too many visitors just now"
