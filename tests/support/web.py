"""A web server on loopback that can do what servers on the net do: break off, refuse ranges, answer with errors."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass
class Web:
    """What is served, how, and what was asked for.

    Attributes:
        files: content by path.
        ranges: whether the server can begin in the middle.
        cuts: after how many bytes of the content the next answers break off; None: not at all.
        status: codes that the next answers have instead of a content.
        lengths: whether the server says how long a content is.
        pause: a break that lasts until this is set, where an answer breaks off.
        shift: bytes by which a partial answer begins elsewhere than asked for.
        asked: path and Range of all requests.
        url: of the server.
    """

    files: dict[str, bytes]
    ranges: bool = True
    cuts: list[int | None] = field(default_factory=list)
    status: list[int] = field(default_factory=list)
    lengths: bool = True
    pause: threading.Event | None = None
    shift: int = 0
    asked: list[tuple[str, str | None]] = field(default_factory=list)
    url: str = ""


@contextmanager
def serving(**options: Any) -> Iterator[Web]:
    """Gives a server for as long as it is needed."""
    web = Web(**options)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            asked = self.headers.get("Range")
            web.asked.append((self.path, asked))
            if web.status:
                self.send_error(web.status.pop(0))
                return
            if self.path not in web.files:
                self.send_error(404)
                return
            content, start = web.files[self.path], 0
            if asked and web.ranges:
                start = int(asked.removeprefix("bytes=").removesuffix("-")) + web.shift
                if start >= len(content):
                    self.send_response(416)
                    self.send_header("Content-Range", f"bytes */{len(content)}")
                    self.end_headers()
                    return
                self.send_response(206)
                self.send_header("Content-Range", f"bytes {start}-{len(content) - 1}/{len(content)}")
            else:
                self.send_response(200)
            if web.lengths:
                self.send_header("Content-Length", str(len(content) - start))
            self.end_headers()
            cut = web.cuts.pop(0) if web.cuts else None
            with suppress(ConnectionError):  # who asked may have enough
                self.wfile.write(content[start : len(content) if cut is None else cut])
            if cut is not None and web.pause is not None:
                self.wfile.flush()
                web.pause.wait(60)

        def log_message(self, format: str, *args: Any) -> None:
            """Says nothing."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    web.url = f"http://127.0.0.1:{server.server_port}"
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    try:
        yield web
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
