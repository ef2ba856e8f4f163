"""An S3 server that refuses checksums of parts, as Wasabi did (DVC issue 10695): python part_checksums.py -H … -p …"""

import argparse
from collections.abc import Callable, Iterable
from typing import Any

from moto.server import DomainDispatcherApplication, create_backend_app
from werkzeug.serving import run_simple

MESSAGE = "Checksum Type mismatch occurred, expected checksum Type: null, actual checksum Type: crc32"


def refused(environ: dict[str, Any]) -> bool:
    is_part = environ["REQUEST_METHOD"] == "PUT" and "partNumber=" in environ["QUERY_STRING"]
    return is_part and "HTTP_X_AMZ_SDK_CHECKSUM_ALGORITHM" in environ


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    if not refused(environ):
        return MOTO(environ, start_response)  # type: ignore[no-any-return]
    environ["wsgi.input"].read(int(environ["CONTENT_LENGTH"]))  # or the client sees a broken pipe
    start_response("400 Bad Request", [("Content-Type", "application/xml")])
    return [f"<Error><Code>InvalidRequest</Code><Message>{MESSAGE}</Message></Error>".encode()]


if __name__ == "__main__":
    MOTO = DomainDispatcherApplication(create_backend_app)
    parser = argparse.ArgumentParser()
    parser.add_argument("-H")
    parser.add_argument("-p", type=int)
    arguments = parser.parse_args()
    run_simple(arguments.H, arguments.p, application, threaded=True)
