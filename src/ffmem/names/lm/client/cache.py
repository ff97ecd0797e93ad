"""Every answer that was paid for, beside the index: a call that was answered once is never made again."""

import json
import sqlite3
import threading
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ffmem.errors import StoreError
from ffmem.json_values import json_text
from ffmem.names.lm.client.capabilities import Capabilities, capabilities_from_json

_FORMAT = 1
_KEPT_OF_FAILED = 2000
"""Bytes of an answer that is none: enough to see what it was."""
_SCHEMA = """
CREATE TABLE IF NOT EXISTS replies (
    identity TEXT PRIMARY KEY, url TEXT NOT NULL, model TEXT NOT NULL, purpose TEXT NOT NULL,
    body BLOB NOT NULL, failure TEXT NOT NULL, n_bytes_in INTEGER NOT NULL, tokens_in INTEGER NOT NULL,
    tokens_out INTEGER NOT NULL, counted INTEGER NOT NULL, seconds REAL NOT NULL, at TEXT NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS servers (
    url TEXT NOT NULL, model TEXT NOT NULL, capabilities TEXT NOT NULL, at TEXT NOT NULL, PRIMARY KEY (url, model)
) WITHOUT ROWID;
"""


@dataclass(frozen=True)
class StoredReply:
    """An answer as it came, and what it took."""

    body: bytes
    """All of it; its beginning if it failed."""
    failure: str
    """Why it is no answer; empty if it is one."""
    n_bytes_in: int
    tokens_in: int
    tokens_out: int
    counted: bool
    """Whether the server has counted the tokens."""
    seconds: float
    purpose: str = ""


class ReplyCache:
    """The answers beside one index. Each is on disk before the call returns."""

    def __init__(self, file: Path) -> None:
        self.file = file
        self._lock = threading.Lock()
        with self._errors():
            self._database = sqlite3.connect(file, timeout=60, isolation_level=None, check_same_thread=False)
            found = self._database.execute("PRAGMA user_version").fetchone()[0]
            if found not in (0, _FORMAT):
                self._database.close()
                raise StoreError(
                    f"{file} has format {found}",
                    f"Expected format {_FORMAT}",
                    "Upgrade ffmem, or remove the file: then every answer is asked for again",
                )
            self._database.execute("PRAGMA journal_mode = WAL")
            self._database.execute("PRAGMA synchronous = FULL")  # each row was paid for
            self._database.executescript(_SCHEMA)
            self._database.execute(f"PRAGMA user_version = {_FORMAT}")

    def get(self, identity: str) -> StoredReply | None:
        """The answer to a call, or None if it was never made."""
        row = self._one(
            "SELECT body, failure, n_bytes_in, tokens_in, tokens_out, counted, seconds, purpose"
            " FROM replies WHERE identity = ?",
            identity,
        )
        if row is None:
            return None
        body, failure, n_bytes_in, tokens_in, tokens_out, counted, seconds, purpose = row
        with self._errors():
            text = zlib.decompress(body)
        return StoredReply(text, failure, n_bytes_in, tokens_in, tokens_out, bool(counted), seconds, purpose)

    def put(self, identity: str, url: str, model: str, reply: StoredReply) -> None:
        """Keep an answer in the place of an older one, on disk when this returns."""
        body = reply.body[:_KEPT_OF_FAILED] if reply.failure else reply.body
        with self._errors(), self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO replies VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
                (
                    identity, url, model, reply.purpose, zlib.compress(body), reply.failure, reply.n_bytes_in,
                    reply.tokens_in, reply.tokens_out, reply.counted, reply.seconds, _now(),
                ),
            )  # fmt: skip

    def has(self, identity: str) -> bool:
        """Whether a call was answered."""
        return self._one("SELECT 1 FROM replies WHERE identity = ?", identity) is not None

    def capabilities(self, url: str, model: str) -> Capabilities | None:
        """What was measured of a server, or None if nothing was."""
        row = self._one("SELECT capabilities FROM servers WHERE url = ? AND model = ?", url, model)
        return None if row is None else capabilities_from_json(json.loads(str(row[0])))

    def put_capabilities(self, url: str, model: str, found: Capabilities) -> None:
        """Keep what was measured of a server."""
        with self._errors(), self._lock:
            self._database.execute(
                "INSERT OR REPLACE INTO servers VALUES (?, ?, ?, ?)", (url, model, json_text(found), _now())
            )

    def measured(self, url: str, model: str, most: int = 2000) -> list[StoredReply]:
        """What answered calls took, without their bodies: the latest, in no order."""
        with self._errors(), self._lock:
            rows = self._database.execute(
                "SELECT n_bytes_in, tokens_in, tokens_out, counted, seconds, purpose FROM replies"
                " WHERE url = ? AND model = ? AND failure = '' ORDER BY at DESC LIMIT ?",
                (url, model, most),
            ).fetchall()
        return [
            StoredReply(b"", "", n_bytes_in, tokens_in, tokens_out, bool(counted), seconds, purpose)
            for n_bytes_in, tokens_in, tokens_out, counted, seconds, purpose in rows
        ]

    def close(self) -> None:
        """Let go of the file."""
        with self._lock:
            self._database.close()

    def _one(self, query: str, *values: str) -> tuple[Any, ...] | None:
        with self._errors(), self._lock:
            row: tuple[Any, ...] | None = self._database.execute(query, values).fetchone()
        return row

    @contextmanager
    def _errors(self) -> Iterator[None]:
        try:
            yield
        except (sqlite3.Error, zlib.error) as error:
            raise StoreError(
                f"{self.file} cannot be used: {error}",
                "Expected the answers of language models, in a folder that can be written to, with room on its disk",
                "Make room for it; if it is damaged, remove it: then every answer is asked for again",
            ) from error


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="seconds")
