"""Remote files are opened with the user's settings; messages tell what failed, without secrets."""

from pathlib import Path

import pytest

from pipeline.raster.remote import RemoteFile, gdal_options, locate, network_problem

SIGNED = RemoteFile("https://me:pw@host/folder/a.tif?key=secret")


def test_a_source_is_a_path_or_a_url() -> None:
    assert locate("s3:/a.tif") == Path("s3:/a.tif")
    assert locate("S3://bucket/a.tif") == RemoteFile("s3://bucket/a.tif")
    assert RemoteFile("s3://bucket/a b.tif").gdal_path == "/vsis3/bucket/a b.tif"
    assert SIGNED.gdal_path == "/vsicurl/https://me:pw@host/folder/a.tif?key=secret"


def test_messages_have_no_secrets() -> None:
    assert (str(SIGNED), SIGNED.name) == ("https://host/folder/a.tif", "a.tif")
    text = f"'{SIGNED.gdal_path}' not recognized; a.tif?key=secret, band 1"
    assert SIGNED.redact(text) == "'https://host/folder/a.tif' not recognized; a.tif, band 1"
    plain = RemoteFile("http://host/a.tif")
    assert plain.redact("/vsicurl/http://host/a.tif, http://host/a.tif") == "http://host/a.tif, http://host/a.tif"


@pytest.mark.parametrize(
    ("endpoint", "expected"),
    [
        ("http://127.0.0.1:9000/", {"AWS_S3_ENDPOINT": "127.0.0.1:9000", "AWS_HTTPS": "NO"}),
        ("https://store.org", {"AWS_S3_ENDPOINT": "store.org", "AWS_HTTPS": "YES"}),
        ("store.org", {"AWS_S3_ENDPOINT": "store.org"}),
    ],
)
@pytest.mark.parametrize("name", ["AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3"])
def test_an_endpoint_of_s3_storage_is_given_to_gdal(
    monkeypatch: pytest.MonkeyPatch, name: str, endpoint: str, expected: dict[str, str]
) -> None:
    for other in ("AWS_S3_ENDPOINT", "AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_VIRTUAL_HOSTING"):
        monkeypatch.delenv(other, raising=False)
    monkeypatch.setenv(name, endpoint)
    options = gdal_options(RemoteFile("s3://bucket/a.tif"))
    assert {key: value for key, value in options.items() if key.startswith("AWS")} == expected | {
        "AWS_VIRTUAL_HOSTING": "FALSE"
    }
    assert not any(key.startswith("AWS") for key in gdal_options(SIGNED))


def test_options_of_the_environment_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GDAL_HTTP_TIMEOUT", "7")
    options = gdal_options(SIGNED)
    assert "GDAL_HTTP_TIMEOUT" not in options
    assert options["GDAL_HTTP_MAX_RETRY"] == "3"
    assert gdal_options(Path("a.tif")) == {}


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("Access Denied", "may not be read (HTTP 403)"),
        (
            "CURL error: SSL certificate problem: self-signed certificate",
            "cannot be reached: SSL certificate problem: ",
        ),
        ("InvalidCredentials: no", "needs AWS credentials, and there are none; set AWS_ACCESS_KEY_ID and "),
    ],
)
def test_network_errors_are_explained(text: str, problem: str) -> None:
    assert str(network_problem(text)).startswith(problem)


def test_damage_is_not_a_network_error() -> None:
    assert network_problem("a.tif, band 1: IReadBlock failed at X offset 2: ZIPDecode:Decoding error") is None
