"""A real S3 server on loopback."""

import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.sources.world import files_below


@contextmanager
def bucket_server() -> Iterator[str]:
    """Its endpoint; a process of its own, which must not see what a test sets for the client."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-W", "ignore", "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    environment = {name: value for name, value in os.environ.items() if not name.startswith("AWS_")}
    with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        while server.poll() is None and not _answers(port):
            time.sleep(0.1)
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            server.kill()


def _answers(port: int) -> bool:
    with socket.socket() as client:
        return client.connect_ex(("127.0.0.1", port)) == 0


def put(endpoint: str, bucket: str, prefix: str, folder: Path) -> None:
    """Store the files below a folder in a bucket that anyone may read."""
    import boto3

    with pytest.MonkeyPatch.context() as patch:
        patch.delenv("AWS_PROFILE", raising=False)
        owner = {"aws_access_key_id": "owner", "aws_secret_access_key": "owner"}
        client = boto3.client("s3", endpoint_url=endpoint, region_name="us-east-1", **owner)
        client.create_bucket(Bucket=bucket, ACL="public-read")
        for name, body in files_below(folder).items():
            client.put_object(Bucket=bucket, Key=f"{prefix}{name}", Body=body, ACL="public-read")
