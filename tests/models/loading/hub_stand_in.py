"""A stand-in of the Hugging Face hub: the few routes that a download of a model uses, over a folder of this machine."""

import hashlib
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote

ROUTE = re.compile(r"^(?:/api/models)?/(?P<repo>[^/]+/[^/]+?)/(?P<kind>revision|tree|resolve)/(?P<rest>.*)$")


@dataclass
class Repository:
    """A repository: commits by hash, branches, and how it misbehaves."""

    commits: dict[str, Path]
    branches: dict[str, str]
    gated: bool = False
    n_broken: dict[str, int] = field(default_factory=dict)
    """File -> how often its transfer is to break off after half of it."""


@dataclass
class StandIn:
    """The hub: its repositories, and what it was asked for."""

    repositories: dict[str, Repository]
    endpoint: str = ""
    asked: list[str] = field(default_factory=list)
    """Files whose content was asked for."""


@contextmanager
def serving(repositories: dict[str, Repository]) -> Iterator[StandIn]:
    """A hub that runs inside the context."""
    hub = StandIn(repositories)
    server = ThreadingHTTPServer(("127.0.0.1", 0), _handler(hub))
    server.daemon_threads = True
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    hub.endpoint = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _handler(hub: StandIn) -> type[BaseHTTPRequestHandler]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: object) -> None:
            pass

        def do_HEAD(self) -> None:
            self.answer(with_body=False)

        def do_GET(self) -> None:
            self.answer(with_body=True)

        def answer(self, with_body: bool) -> None:
            path = unquote(self.path.split("?")[0])
            match = ROUTE.match(path) or re.match(r"^/api/models/(?P<repo>[^/]+/[^/]+)$", path)
            parts = match.groupdict() if match else {}
            repository = hub.repositories.get(parts.get("repo", ""))
            if repository is None:
                return self.refuse(401, "RepoNotFound")  # as the hub does to those without an account
            kind, rest = parts.get("kind", "revision"), parts.get("rest", "main")
            revision, _, name = rest.partition("/")
            commit = repository.branches.get(revision, revision)
            if commit not in repository.commits:
                return self.refuse(404, "RevisionNotFound")
            folder = repository.commits[commit]
            if kind == "resolve":
                return self.send_file(repository, folder / name, commit, with_body)
            files = sorted(file.relative_to(folder).as_posix() for file in folder.rglob("*") if file.is_file())
            if kind == "tree":
                return self.send_json([entry(folder / file, file) for file in files])
            siblings = [{"rfilename": file} for file in files]
            self.send_json({"id": parts["repo"], "sha": commit, "siblings": siblings, "private": False, "tags": []})
            return None

        def refuse(self, status: int, code: str) -> None:
            self.send_response(status)
            if code:
                self.send_header("X-Error-Code", code)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def send_json(self, value: object) -> None:
            body = json.dumps(value).encode()
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def send_file(self, repository: Repository, file: Path, commit: str, with_body: bool) -> None:
            if repository.gated:
                return self.refuse(403, "GatedRepo")
            if not file.is_file():
                return self.refuse(404, "EntryNotFound")
            content = file.read_bytes()
            start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").split("-")[0])
            self.send_response(206 if start else 200)
            self.send_header("ETag", f'"{hashlib.sha256(content).hexdigest()}"')
            self.send_header("X-Repo-Commit", commit)
            self.send_header("Accept-Ranges", "bytes")
            if start:
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            if not with_body:
                return None
            hub.asked.append(file.name)
            if repository.n_broken.get(file.name, 0) > 0:
                repository.n_broken[file.name] -= 1
                self.wfile.write(content[start : (start + len(content)) // 2])
                self.close_connection = True
                return None
            self.wfile.write(content[start:])
            return None

    return Handler


def entry(file: Path, name: str) -> dict[str, object]:
    """A file as the listing of a commit has it."""
    content = file.read_bytes()
    return {"type": "file", "path": name, "size": len(content), "oid": hashlib.sha1(content).hexdigest()}
