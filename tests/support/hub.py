"""A small stand-in for the hub of Hugging Face on loopback, which can misbehave."""

import hashlib
import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import unquote, urlsplit

COMMIT = "0123456789abcdef0123456789abcdef01234567"
LARGE = {".safetensors", ".bin"}

Answer = tuple[int, dict[str, str], bytes]


class Hub:
    """Serves folders as repositories: `hub.repos["me/model"] = folder`, at COMMIT, also as the branch main.

    misbehave: method and path -> the answer instead, or None for the usual one. requests: what was asked.
    """

    def __init__(self):
        self.repos: dict[str, Path] = {}
        self.requests: list[str] = []
        self.misbehave: Callable[[str, str], Answer | None] = lambda method, path: None
        hub = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self):
                path = unquote(urlsplit(self.path).path)
                hub.requests.append(f"{self.command} {path}")
                status, headers, body = hub.misbehave(self.command, path) or hub.answer(self.command, path)
                self.send_response(status)
                for name, value in {"Content-Length": str(len(body)), **headers}.items():
                    self.send_header(name, value)
                self.end_headers()
                if self.command != "HEAD":
                    self.wfile.write(body)

            do_GET = do_HEAD = answer

            def log_message(self, *arguments):
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.server.daemon_threads = True
        threading.Thread(target=self.server.serve_forever, daemon=True).start()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def close(self) -> None:
        self.server.shutdown()
        self.server.server_close()

    def downloads(self) -> list[str]:
        """The files that were fetched."""
        return [
            path.split(f"/resolve/{COMMIT}/")[1]
            for path in self.requests
            if path.startswith("GET") and "/resolve/" in path
        ]

    def answer(self, method: str, path: str) -> Answer:
        parts = path.strip("/").split("/")
        if parts[0] == "api":
            repo, revision = "/".join(parts[2:4]), parts[5] if len(parts) > 5 else "main"
            if repo not in self.repos:
                return error(404, "RepoNotFound")
            if revision not in ("main", COMMIT):
                return error(404, "RevisionNotFound")
            return 200, {"Content-Type": "application/json"}, json.dumps(self.info(repo)).encode()
        repo, name = "/".join(parts[:2]), "/".join(parts[4:])
        file = self.repos.get(repo, Path("/nowhere")) / name
        if not file.is_file():
            return error(404, "EntryNotFound")
        content = file.read_bytes()
        return (
            200,
            {
                "X-Repo-Commit": COMMIT,
                "ETag": f'"{digest(file)}"',
                "Content-Type": "application/octet-stream",
            },
            content,
        )

    def info(self, repo: str) -> dict:
        """A repository as the hub describes it."""
        files = sorted(path for path in self.repos[repo].rglob("*") if path.is_file())
        siblings = []
        for path in files:
            entry = {
                "rfilename": path.relative_to(self.repos[repo]).as_posix(),
                "size": path.stat().st_size,
                "blobId": git_digest(path),
            }
            if path.suffix in LARGE:
                entry["lfs"] = {"sha256": digest(path), "size": path.stat().st_size, "pointerSize": 134}
            siblings.append(entry)
        return {
            "id": repo,
            "modelId": repo,
            "sha": COMMIT,
            "siblings": siblings,
            "tags": [],
            "private": False,
            "downloads": 0,
            "likes": 0,
        }


def git_digest(path: Path) -> str:
    content = path.read_bytes()
    return hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()


def digest(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest() if path.suffix in LARGE else git_digest(path)


def error(status: int, code: str = "", **headers: str) -> Answer:
    return status, {"X-Error-Code": code, "X-Error-Message": code, **headers}, b"{}"
