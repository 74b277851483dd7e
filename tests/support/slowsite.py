"""A web site that begins to answer when the test says so: what an import reads that shall stay under way."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

_SECONDS_MAX = 120.0


@dataclass(slots=True)
class SlowSite:
    """`asked` counts the requests that came; `open` lets all of them, and those to come, have `body`."""

    body: bytes
    url: str = ""
    asked: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    _opened: threading.Event = field(default_factory=threading.Event)

    def wait_until_asked(self) -> None:
        """Return when one more request has come."""
        assert self.asked.acquire(timeout=_SECONDS_MAX)

    def open(self) -> None:
        self._opened.set()

    def serve(self, handler: BaseHTTPRequestHandler) -> None:
        self.asked.release()
        self._opened.wait(_SECONDS_MAX)
        try:
            handler.send_response(200)
            handler.send_header("Content-Length", str(len(self.body)))
            handler.end_headers()
            handler.wfile.write(self.body)
        except ConnectionError:  # who asked was killed
            handler.close_connection = True


@contextmanager
def slow_site(body: bytes) -> Iterator[SlowSite]:
    """A site on loopback with one page, `body`."""
    site = SlowSite(body)

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            site.serve(self)

        def log_message(self, *_: object) -> None: ...

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        site.url = f"http://127.0.0.1:{server.server_address[1]}/rows.csv"
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.05})
        thread.start()
        try:
            yield site
        finally:
            site.open()
            server.shutdown()
            thread.join()
