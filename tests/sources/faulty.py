"""An HTTP server on loopback for files, with injected faults."""

import re
import socket
import threading
import time
from collections import defaultdict
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

FAR = 10_000_000


@dataclass(frozen=True)
class Fault:
    """A fault instead of a normal response."""

    kind: str
    """drop | stall | status | html | no_range | lie | wrong_range | no_condition"""
    number: int = 0
    """Bytes before a drop or a stall; the status; or the declared length."""
    header: tuple[str, str] | None = None


@dataclass
class ReceivedRequest:
    """A received request."""

    method: str
    path: str
    headers: dict[str, str]


class Server(ThreadingHTTPServer):
    """Serves `bodies` and files below `root`; each request uses up one of `faults`."""

    daemon_threads = True

    def __init__(self, root: Path | None = None, handler: type[BaseHTTPRequestHandler] | None = None) -> None:
        super().__init__(("127.0.0.1", 0), handler or Handler)
        self.root = root
        self.bodies: dict[str, bytes] = {}
        self.redirects: dict[str, str] = {}
        self.faults: dict[str, list[Fault]] = defaultdict(list)
        """By the path of the request."""
        self.versions: dict[str, dict[str, str]] = defaultdict(dict)
        """Headers of the version of a file: ETag, Last-Modified."""
        self.every: tuple[int, Fault] | None = None
        """A fault for every n-th GET of any path."""
        self.received: list[ReceivedRequest] = []
        self.sent = 0
        """Bytes of bodies; counted before they are written, so that a client that has them finds them counted."""
        self.lock = threading.Lock()

    def handle_error(self, *_: object) -> None:
        """Ignore clients that disconnect."""

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"

    def body(self, path: str) -> bytes | None:
        if path in self.bodies:
            return self.bodies[path]
        file = self.root / path.lstrip("/") if self.root else None
        return file.read_bytes() if file and file.is_file() else None

    def fault(self, path: str) -> Fault | None:
        with self.lock:
            if self.faults[path]:
                return self.faults[path].pop(0)
            gets = sum(received.method == "GET" for received in self.received)
            return self.every[1] if self.every and gets % self.every[0] == 0 else None

    def gets(self, part: str = "") -> list[ReceivedRequest]:
        return [received for received in self.received if received.method == "GET" and part in received.path]


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: Server

    def log_message(self, *_: object) -> None:
        pass

    def do_HEAD(self) -> None:
        self.answer()

    def do_GET(self) -> None:
        self.answer()

    def answer(self) -> None:
        path = self.path.partition("?")[0]
        with self.server.lock:
            self.server.received.append(ReceivedRequest(self.command, self.path, dict(self.headers)))
        body = self.server.body(path)
        fault = self.server.fault(path) if self.command == "GET" else None
        if fault and fault.kind in ("status", "html"):
            self.send_fault(fault)
        elif path in self.server.redirects:
            self.send_fault(Fault("status", 303, ("Location", self.server.redirects[path])))
        elif body is None:
            self.send_fault(Fault("status", 404))
        else:
            self.deliver(body, fault or Fault("none"))

    def send_fault(self, fault: Fault) -> None:
        text = b"<html>please log in</html>" if fault.kind == "html" else b'{"detail": "no"}'
        self.send_response(200 if fault.kind == "html" else fault.number)
        self.send_header("Content-Type", "text/html; charset=utf-8" if fault.kind == "html" else "application/json")
        self.send_header("Content-Length", str(len(text)))
        if fault.header:
            self.send_header(*fault.header)
        self.end_headers()
        self.wfile.write(text)

    def deliver(self, body: bytes, fault: Fault) -> None:
        match = re.fullmatch(r"bytes=(\d+)-(\d*)", self.headers.get("Range", ""))
        if fault.kind == "no_range":
            match = None
        start = int(match[1]) if match else 0
        last = min(int(match[2]), len(body) - 1) if match and match[2] else None
        version = self.server.versions[self.path.partition("?")[0]]
        condition = self.headers.get("If-Range")
        if condition and condition not in version.values() and fault.kind != "no_condition":
            start = 0
        if start and start >= len(body):
            self.send_response(416)
            self.send_header("Content-Range", f"bytes */{len(body)}")
            self.send_header("Content-Length", "0")
            self.end_headers()
            return
        end = len(body) if last is None else last + 1
        rest, partial = body[start:end], bool(start) or last is not None
        self.send_response(206 if partial else 200)
        if partial:
            first = start + 1 if fault.kind == "wrong_range" else start
            self.send_header("Content-Range", f"bytes {first}-{end - 1}/{len(body)}")
        self.send_header("Content-Length", str(fault.number if fault.kind == "lie" else len(rest)))
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Accept-Ranges", "bytes")
        for name, value in version.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.send(rest, fault)

    def send(self, rest: bytes, fault: Fault) -> None:
        part = rest[: fault.number] if fault.kind in ("drop", "stall") else rest
        with self.server.lock:
            self.server.sent += len(part)
        try:
            self.wfile.write(part)
            self.wfile.flush()
        except ConnectionError:
            return
        if fault.kind == "stall":
            time.sleep(2)
        if fault.kind in ("drop", "stall", "lie"):
            self.close_connection = True
            self.connection.shutdown(socket.SHUT_RDWR)


@contextmanager
def served(server: Server) -> Iterator[Server]:
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
