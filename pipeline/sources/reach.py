"""Whether the hub of pretrained weights can be reached, asked once and briefly."""

import os
import socket
from urllib.parse import urlsplit

SECONDS = 3.0


def hub_is_there() -> bool:
    """Whether something answers where Hugging Face's client will ask, or a proxy that is to ask for it.

    Its client tries for 23 s before it says that there is no network.
    """
    proxy = os.environ.get("HTTPS_PROXY") or os.environ.get("https_proxy")
    address = urlsplit(proxy or os.environ.get("HF_ENDPOINT") or "https://huggingface.co")
    try:
        with socket.create_connection(
            (address.hostname or "", address.port or (443 if address.scheme == "https" else 80)), SECONDS
        ):
            return True
    except OSError:
        return False
