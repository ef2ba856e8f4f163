"""A real S3 server on loopback."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.sources.world import files_below


@contextmanager
def bucket_server() -> Iterator[str]:
    """Its endpoint."""
    from moto.server import ThreadedMotoServer

    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    try:
        yield f"http://{host}:{port}"
    finally:
        server.stop()


def put(endpoint: str, bucket: str, prefix: str, folder: Path) -> None:
    """Store the files below a folder in a bucket that anyone may read."""
    import boto3

    client = boto3.client(
        "s3", endpoint_url=endpoint, region_name="us-east-1", aws_access_key_id="owner", aws_secret_access_key="owner"
    )
    client.create_bucket(Bucket=bucket, ACL="public-read")
    for name, body in files_below(folder).items():
        client.put_object(Bucket=bucket, Key=f"{prefix}{name}", Body=body, ACL="public-read")
