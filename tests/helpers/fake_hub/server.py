"""The fake Hub as a running server, in a thread of the test process."""

import socket
import threading
import time
from collections import deque

import uvicorn

from fake_hub.app import make_app
from fake_hub.replies import failure
from fake_hub.store import Store


class Hub:
    """One server, emptied between tests.

    Attributes:
        store: what it holds.
        requests: what it was asked, (method, path, headers).
        failing: (method, pattern of the path, reply) of requests to fail.
        cuts: path -> bytes after which its next bodies are cut, one per request.
        names_only: list files without their sizes, as some mirrors do.
        xet: a hub.xet.Xet, None for a Hub without Xet storage.
        changed: path -> what is sent instead of the file, with the file's own ETag.
        headers: path -> headers of its answers that replace the right ones.
        downloads: repository -> how often it was fetched.
        page: repositories on a page of a search.
        listed: path -> what its entry in the listing has instead of the right facts.
    """

    def __init__(self):
        self.clear()
        listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{listener.getsockname()[1]}"
        config = uvicorn.Config(make_app(self), log_level="critical", lifespan="off", ws="none")
        self._server = uvicorn.Server(config)
        run = {"sockets": [listener]}
        self._thread = threading.Thread(target=self._server.run, kwargs=run, daemon=True)
        self._thread.start()
        while not self._server.started:
            time.sleep(0.01)

    def clear(self):
        self.store = Store()
        self.requests = []
        self.failing = []
        self.cuts = {}
        self.changed = {}
        self.headers = {}
        self.listed = {}
        self.branches = set()
        self.names_only = False
        self.xet = None
        self.downloads = {}
        self.page = 1000

    def stop(self):
        self._server.should_exit = True
        self._thread.join(10)

    def log(self, request, path):
        self.requests.append((request.method, path, dict(request.headers)))

    def asked(self, method, part=""):
        """The paths asked for with a method, those with `part` in them."""
        return [path for m, path, _ in self.requests if m == method and part in path]

    def fail(self, method, pattern, status, code=""):
        """Answer matching requests with a failure from now on."""
        reply = (method, pattern, lambda: failure(status, "made to fail", code))
        self.failing.append(reply)

    def cut(self, path, *after):
        """Close the connection after this many bytes of the next bodies of the file."""
        self.cuts[path] = deque(after)

    def next_cut(self, path):
        left = self.cuts.get(path)
        return left.popleft() if left else None
