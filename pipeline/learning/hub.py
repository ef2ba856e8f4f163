"""Whether the hub of pretrained weights can be reached, asked once and briefly."""

import os
import socket
import threading
from contextlib import suppress
from urllib.parse import urlsplit

SECONDS = 3.0


def hub_is_there() -> bool:
    """Whether something answers where Hugging Face's client will ask, or a proxy that is to ask for it.

    Its client tries for 23 s before it says that there is no network.
    """
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    address = urlsplit(proxy or os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    answered = threading.Event()

    def ask() -> None:
        port = address.port or (443 if address.scheme == "https" else 80)
        with suppress(OSError), socket.create_connection((address.hostname or "", port), SECONDS):
            answered.set()

    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(SECONDS)  # a name takes its own time, and may have many addresses of which none answers
    return answered.is_set()
