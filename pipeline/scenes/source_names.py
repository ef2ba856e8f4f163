"""Names of GeoTIFFs as GDAL's VRT and tile indexes write them."""

import re

REMOTE = {"/vsicurl/": "", "/vsis3/": "s3://", "http://": "http://", "https://": "https://", "s3://": "s3://"}
"""Beginnings of the names of remote files, and what replaces them."""


def remote_url(name: str) -> str | None:
    """Return the `https://`, `http://` or `s3://` URL of a remote file; None if it is not remote."""
    beginning = next((prefix for prefix in REMOTE if name.startswith(prefix)), None)
    return None if beginning is None else REMOTE[beginning] + name.removeprefix(beginning)


def is_local_file(name: str) -> bool:
    """Return whether a name is a path: not a file in an archive or in memory, nor a connection to a driver."""
    return bool(name) and not name.startswith(("/vsi", "<")) and not re.match(r"\w+:", name)
