import sqlite3
from pathlib import Path

import pytest

from ffmem import StoreError
from ffmem.names.lm.client.cache import ReplyCache, StoredReply
from ffmem.names.lm.client.capabilities import Capabilities

REPLY = StoredReply(b'{"choices": [\x00\xff]}', "", 100, 25, 3, True, 0.5, "label")


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "label_cache.sqlite"


def test_an_answer_is_on_disk_when_it_is_kept(file: Path) -> None:
    cache = ReplyCache(file)
    cache.put("a", "http://x/v1", "m", REPLY)
    other = ReplyCache(file)  # what another process would see, while the first has not closed anything
    assert other.get("a") == REPLY and other.has("a")
    assert other.get("b") is None and not other.has("b")
    for one in (cache, other):
        one.close()


def test_of_an_answer_that_failed_only_the_beginning_is_kept(file: Path) -> None:
    cache = ReplyCache(file)
    cache.put("a", "u", "m", StoredReply(b"x" * 1_000_000, "the answer has more than 10 MB", 1, 1, 0, False, 1.0))
    kept = cache.get("a")
    assert kept is not None and (kept.body, kept.failure) == (b"x" * 2000, "the answer has more than 10 MB")
    cache.close()


def test_a_later_answer_takes_the_place_of_one_that_failed(file: Path) -> None:
    cache = ReplyCache(file)
    cache.put("a", "u", "m", StoredReply(b"", "empty", 1, 1, 0, False, 1.0))
    cache.put("a", "u", "m", REPLY)
    assert cache.get("a") == REPLY
    cache.close()


def test_what_calls_took_is_told_of_one_server_and_model(file: Path) -> None:
    cache = ReplyCache(file)
    for identity, url, model, failure in (
        ("a", "u", "m", ""),
        ("b", "u", "n", ""),
        ("c", "v", "m", ""),
        ("d", "u", "m", "x"),
    ):
        cache.put(identity, url, model, StoredReply(b"1", failure, 8, 2, 1, True, 0.5, identity))
    assert cache.measured("u", "m") == [StoredReply(b"", "", 8, 2, 1, True, 0.5, "a")]
    cache.close()


def test_capabilities_are_kept_for_each_server_and_model(file: Path) -> None:
    cache = ReplyCache(file)
    found = Capabilities(seed="refused", tokens_per_byte=0.25)
    cache.put_capabilities("u", "m", found)
    assert cache.capabilities("u", "m") == found and cache.capabilities("u", "n") is None
    cache.close()


def test_a_file_of_a_later_format_is_left_alone(file: Path) -> None:
    with sqlite3.connect(file) as database:
        database.execute("PRAGMA user_version = 7")
    database.close()
    before = file.read_bytes()
    with pytest.raises(StoreError, match=r"has format 7\. Expected format 1"):
        ReplyCache(file)
    assert file.read_bytes() == before


@pytest.mark.parametrize("spoil", ["garbage", "row", "folder"])
def test_a_damaged_file_says_what_it_costs_to_remove_it(file: Path, spoil: str) -> None:
    if spoil == "garbage":
        file.write_bytes(b"no database" * 100)
    elif spoil == "folder":
        file.mkdir()
    else:
        cache = ReplyCache(file)
        cache.put("a", "u", "m", REPLY)
        cache.close()
        with sqlite3.connect(file) as database:
            database.execute("UPDATE replies SET body = x'00'")
        database.close()
    with pytest.raises(StoreError, match="every answer is asked for again"):
        ReplyCache(file).get("a")
