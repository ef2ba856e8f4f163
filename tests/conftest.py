import ipaddress
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from tests.learning.world import World

# no deadline: the machine may be busy; derandomized: results do not change between runs
settings.register_profile("project", deadline=None, derandomize=True, database=None)
settings.load_profile("project")


def pytest_make_parametrize_id(val: object, argname: str) -> str | None:
    """Name bytes by argument and number: packed files contain times, and all workers must collect the same names."""
    return argname if isinstance(val, bytes) else None


class NetworkRefusedError(BaseException):
    """A BaseException, so that no retry or `except Exception` hides it."""


def refuse_unless_loopback(host: Any) -> None:
    if host in (None, "", b"", "localhost"):
        return
    try:
        local = ipaddress.ip_address(host).is_loopback
    except ValueError:
        local = False
    if not local:
        raise NetworkRefusedError(f"tests may only connect to this machine, not to {host!r}")


def guarded_socket(method: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(self: socket.socket, *arguments: Any) -> Any:
        if self.family in (socket.AF_INET, socket.AF_INET6):
            refuse_unless_loopback(arguments[-1][0])  # the address comes last, also for sendto
        return method(self, *arguments)

    return guarded


def guarded_lookup(lookup: Callable[..., Any]) -> Callable[..., Any]:
    def guarded(host: Any, *arguments: Any, **named: Any) -> Any:
        refuse_unless_loopback(host)
        return lookup(host, *arguments, **named)

    return guarded


@pytest.fixture(autouse=True, scope="session")
def only_loopback() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        for name in ("connect", "connect_ex", "sendto"):
            patch.setattr(socket.socket, name, guarded_socket(getattr(socket.socket, name)))
        for name in ("getaddrinfo", "gethostbyname"):
            patch.setattr(socket, name, guarded_lookup(getattr(socket, name)))
        yield


@pytest.fixture(autouse=True, scope="session")
def own_cache_of_session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PIPELINE_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache folder per test."""
    folder = tmp_path_factory.mktemp("cache")
    monkeypatch.setenv("PIPELINE_CACHE", str(folder))
    return folder


@pytest.fixture(scope="session")
def shared() -> Path:
    folder = Path(__file__).parents[2] / "shared"
    if not folder.is_dir():
        pytest.skip(f"no real data on this machine: {folder}")
    return folder


@pytest.fixture(scope="session")
def scored(trained: "World", tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Outputs of `evaluate` for `trained`: first.json, summary.json, units.csv, plots/."""
    out = tmp_path_factory.mktemp("scored")
    trained.evaluate("first", out)
    return out


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> "World":
    """A world with a trained model; read-only."""
    from tests.learning.world import World  # torch takes seconds to import

    world = World.make(tmp_path_factory.mktemp("trained"), 64, train=8, val=2, test=3)
    world.train(epochs=5, batch_size=1, lr=0.003, lr_step=3)
    return world
