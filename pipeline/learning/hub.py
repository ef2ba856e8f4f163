"""A quick check whether the hub of pretrained weights can be reached."""

import os
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

TIMEOUT = 3.0
"""Seconds."""


def hub_is_reachable() -> bool:
    """Return whether Hugging Face's endpoint, or the proxy in front of it, accepts a connection.

    Its client retries for 23 s before it reports that there is no network.
    """
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    address = urlsplit(proxy or os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    connected = threading.Event()

    def connect() -> None:
        port = address.port or (443 if address.scheme == "https" else 80)
        with suppress(OSError), socket.create_connection((address.hostname or "", port), TIMEOUT):
            connected.set()

    # in a thread: resolving the name has no timeout, and a name may have many unreachable addresses
    thread = threading.Thread(target=connect, daemon=True)
    thread.start()
    thread.join(TIMEOUT)
    return connected.is_set()
