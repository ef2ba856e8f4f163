import socket
from tempfile import TemporaryDirectory

import pytest

from tests.conftest import NetworkRefusedError


def test_loopback_is_allowed() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server, socket.create_connection(server.getsockname()) as client:
        assert client.getpeername() == server.getsockname()


def test_unix_sockets_are_allowed() -> None:
    # not in tmp_path, whose name is too long for a socket address on macOS
    with TemporaryDirectory(dir="/tmp") as folder, socket.socket(socket.AF_UNIX) as server:
        server.bind(f"{folder}/here")
        server.listen()
        with socket.socket(socket.AF_UNIX) as client:
            client.connect(f"{folder}/here")
            assert client.getpeername() == f"{folder}/here"


@pytest.mark.parametrize("family", [socket.AF_INET, socket.AF_INET6])
def test_other_addresses_are_refused(family: socket.AddressFamily) -> None:
    address = "192.0.2.1" if family == socket.AF_INET else "2001:db8::1"
    with socket.socket(family) as client, pytest.raises(NetworkRefusedError, match=address):
        client.connect((address, 80))


def test_datagrams_to_other_addresses_are_refused() -> None:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as client, pytest.raises(NetworkRefusedError):
        client.sendto(b"hello", ("192.0.2.1", 53))


def test_host_names_are_not_resolved() -> None:
    with pytest.raises(NetworkRefusedError, match=r"example\.org"):
        socket.create_connection(("example.org", 80))
