"""A server like the Hugging Face hub: folders are repositories, and requests are recorded."""

from __future__ import annotations

import hashlib
import json
import os
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import unquote

COMMIT = "0123456789abcdef0123456789abcdef01234567"
_INFO = re.compile(r"/api/models/(?P<repo>[^/]+/[^/?]+)(/revision/(?P<revision>[^/?]+))?(\?.*)?")
_FILE = re.compile(r"/(?P<repo>[^/]+/[^/]+)/resolve/(?P<revision>[^/]+)/(?P<file>.+)")
_REVISIONS = ("main", "v1", COMMIT)


class Hub:
    """The repositories, folders in ``root/OWNER/NAME``.

    Attributes:
        url: for HF_ENDPOINT.
        sent: paths of the files whose content was requested, in order.
    """

    def __init__(self, root: Path, server: ThreadingHTTPServer) -> None:
        self.root = root
        self.url = f"http://127.0.0.1:{server.server_address[1]}"
        self.sent: list[str] = []

    def environment(self, cache: Path, **more: str) -> dict[str, str]:
        """The environment of a process that uses this hub, with its own cache."""
        return {
            **os.environ,
            "HF_ENDPOINT": self.url,
            "HF_HOME": str(cache),
            "HF_HUB_DISABLE_TELEMETRY": "1",
            "HF_HUB_DISABLE_PROGRESS_BARS": "1",
            **more,
        }


@contextmanager
def serving(root: Path) -> Iterator[Hub]:
    """A running hub, until the ``with`` block ends."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer()

        def do_HEAD(self) -> None:
            self._answer()

        def log_message(self, *_: Any) -> None:
            pass

        def _answer(self) -> None:
            if match := _INFO.fullmatch(self.path):
                self._info(match["repo"], unquote(match["revision"] or "main"))
            elif match := _FILE.fullmatch(self.path):
                self._file(match["repo"], unquote(match["revision"]), unquote(match["file"]))
            else:
                self._send(404, b"")

        def _info(self, repo: str, revision: str) -> None:
            folder = self._folder(repo, revision)
            if folder is not None:
                files = sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*.*"))
                body = {"id": repo, "sha": COMMIT, "siblings": [{"rfilename": f} for f in files]}
                self._send(200, json.dumps(body).encode(), **{"Content-Type": "application/json"})

        def _file(self, repo: str, revision: str, name: str) -> None:
            folder = self._folder(repo, revision)
            if folder is None:
                return
            commit = {"X-Repo-Commit": COMMIT}
            if not (folder / name).is_file():
                self._send(404, b"", **commit, **{"X-Error-Code": "EntryNotFound"})
                return
            if self.command == "GET":
                hub.sent.append(name)
            data = (folder / name).read_bytes()
            tag = f'"{hashlib.sha256(data).hexdigest()}"'
            self._send(200, data, **commit, ETag=tag)

        def _folder(self, repo: str, revision: str) -> Path | None:
            folder = hub.root / repo
            if not folder.is_dir():
                self._send(401, b"", **{"X-Error-Code": "RepoNotFound"})
            elif revision not in _REVISIONS:
                self._send(404, b"", **{"X-Error-Code": "RevisionNotFound"})
            else:
                return folder
            return None

        def _send(self, status: int, body: bytes, **headers: str) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(body)

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    hub = Hub(root, server)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield hub
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
