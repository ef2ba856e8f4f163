import pytest


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # its models are written for pydantic 1
def test_the_client_of_radiant_mlhub_works_in_this_environment() -> None:
    import radiant_mlhub

    assert radiant_mlhub.__version__ == "0.5.5"
    assert callable(radiant_mlhub.Dataset.download)
