import socket
import time

import pytest

from pipeline.learning import hub
from pipeline.learning.hub import hub_is_there


@pytest.fixture(autouse=True)
def no_proxy(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HTTPS_PROXY", "https_proxy"):
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize("name", ["HF_ENDPOINT", "HTTPS_PROXY"])
def test_what_answers_is_there(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        monkeypatch.setenv(name, f"http://127.0.0.1:{server.getsockname()[1]}/")
        assert hub_is_there()


def test_what_does_not_answer_is_not_there_and_costs_little(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hub, "SECONDS", 0.5)
    began = time.monotonic()
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    assert not hub_is_there()
    assert time.monotonic() - began < 5
