"""The consumer library: matching pairs, and errors that tell what is wrong."""

from __future__ import annotations

import subprocess
import sys
import threading
from typing import Any

import pytest
from botocore.exceptions import (
    CredentialRetrievalError,
    EndpointConnectionError,
    LoginRefreshRequired,
    NoCredentialsError,
    SSOTokenLoadError,
    TokenRetrievalError,
    UnauthorizedSSOTokenError,
)
from botocore.parsers import ResponseParserError

import ami_lifecycle_client as module
from ami_lifecycle_client import (
    PAIRING_SECONDS,
    AccessDeniedError,
    AmiClient,
    AmiLookupError,
    EnvironmentNotFoundError,
    InvalidMetadataError,
    ServiceUnavailableError,
)

from .parameter_store import FakeStore, record, refusal

OLD = record("ami-0000000000000000a", workflow_run_number="1")
NEW = record("ami-0000000000000000b", workflow_run_number="2", replaces=OLD["ami_id"])


class Ticks:
    """Monotonic seconds that a test moves."""

    def __init__(self) -> None:
        self.now = 0.0

    def __call__(self) -> float:
        return self.now


def make_client(store: FakeStore, **settings: Any) -> AmiClient:
    return AmiClient(ssm_client=store, **settings)


def test_id_and_metadata_of_the_latest_image_are_read() -> None:
    client = make_client(FakeStore(prod=OLD))
    assert client.get_latest_ami_id("prod") == OLD["ami_id"]
    assert client.get_latest_ami_metadata("prod") == OLD


def test_while_metadata_is_ahead_of_latest_the_record_of_the_latest_image_is_given() -> None:
    store = FakeStore(prod=OLD)
    store.values["/comfyui/ami/prod/metadata"] = '{"ami_id": "ami-0000000000000000b"}'
    ami_id, metadata = make_client(store).get_latest_ami()
    assert (ami_id, metadata) == (OLD["ami_id"], OLD)


def test_metadata_describes_the_id_that_the_thread_has_just_got() -> None:
    store = FakeStore(prod=OLD)
    client = make_client(store)
    ami_id = client.get_latest_ami_id()
    store.publish(NEW)
    assert client.get_latest_ami_metadata()["ami_id"] == ami_id
    assert client.get_latest_ami_metadata() == NEW


def test_another_thread_is_not_paired_with_ours() -> None:
    store = FakeStore(prod=OLD)
    client = make_client(store)
    client.get_latest_ami_id()
    store.publish(NEW)
    seen: list[dict[str, Any]] = []
    thread = threading.Thread(target=lambda: seen.append(client.get_latest_ami_metadata()))
    thread.start()
    thread.join()
    assert seen == [NEW]


def test_an_id_that_was_got_long_ago_is_not_paired_any_more() -> None:
    store, ticks = FakeStore(prod=OLD), Ticks()
    client = make_client(store, clock=ticks)
    client.get_latest_ami_id()
    store.publish(NEW)
    ticks.now = PAIRING_SECONDS + 1
    assert client.get_latest_ami_metadata() == NEW


def test_environments_are_paired_apart() -> None:
    store = FakeStore(prod=OLD, dev=NEW)
    client = make_client(store)
    client.get_latest_ami_id("prod")
    assert client.get_latest_ami_metadata("dev")["ami_id"] == NEW["ami_id"]


def test_the_functions_of_the_module_pair_across_their_clients(monkeypatch: pytest.MonkeyPatch) -> None:
    store = FakeStore(prod=OLD)
    monkeypatch.setattr(module.boto3, "client", lambda *_args, **_settings: store)
    ami_id = module.get_latest_ami_id("prod", "eu-central-1")
    store.publish(NEW)
    assert module.get_latest_ami_metadata("prod", "eu-central-1")["ami_id"] == ami_id
    assert module.get_latest_ami("prod").ami_id == NEW["ami_id"]


def test_a_swap_between_any_two_reads_gives_a_matching_pair() -> None:
    for swapped_at in range(4):
        store = FakeStore(prod=OLD)
        reads = iter(range(10))

        def swap(_name: str, store: FakeStore = store, reads: Any = reads, at: int = swapped_at) -> None:
            if next(reads) == at:
                store.publish(NEW)

        store.before = swap
        ami_id, metadata = make_client(store).get_latest_ami()
        assert metadata["ami_id"] == ami_id


def test_the_cache_answers_until_it_is_too_old() -> None:
    store, ticks = FakeStore(prod=OLD), Ticks()
    client = make_client(store, cache_seconds=10, clock=ticks)
    assert client.get_latest_ami_id() == OLD["ami_id"]
    reads = len(store.reads)
    store.publish(NEW)
    ticks.now = 9
    assert client.get_latest_ami() == (OLD["ami_id"], OLD)
    assert len(store.reads) == reads
    ticks.now = 10
    assert client.get_latest_ami() == (NEW["ami_id"], NEW)


def test_what_a_caller_does_to_cached_metadata_stays_with_the_caller() -> None:
    client = make_client(FakeStore(prod=OLD), cache_seconds=10)
    client.get_latest_ami().metadata["ami_id"] = "changed"
    assert client.get_latest_ami().metadata == OLD


def test_without_a_cache_the_id_costs_one_read() -> None:
    store = FakeStore(prod=OLD)
    make_client(store).get_latest_ami_id()
    assert store.reads == ["latest"]


@pytest.mark.parametrize(
    "call", ["get_latest_ami_id", "get_latest_ami_metadata", "get_latest_ami", "get_history"]
)
def test_an_unknown_environment_is_a_value_error_that_says_more(call: str) -> None:
    with pytest.raises(ValueError, match="No AMI found for environment: prdo") as caught:
        getattr(make_client(FakeStore(prod=OLD)), call)("prdo")
    assert isinstance(caught.value, EnvironmentNotFoundError)
    assert caught.value.environment == "prdo"
    assert "/comfyui/ami/prdo/latest" in str(caught.value)
    assert "us-east-1" in str(caught.value)


def test_a_name_that_parameter_store_refuses_is_an_unknown_environment() -> None:
    store = FakeStore(prod=OLD)
    store.faults["GetParameter"] = refusal("ValidationException")
    with pytest.raises(EnvironmentNotFoundError):
        make_client(store).get_latest_ami_id("no such name")


def test_latest_without_any_metadata_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_READ_PAUSE_SECONDS", 0)
    store = FakeStore(prod=OLD)
    for name in ("metadata", f"history/{OLD['ami_id']}"):
        del store.values[f"/comfyui/ami/prod/{name}"]
    with pytest.raises(ValueError, match="No AMI metadata found for environment: prod"):
        make_client(store).get_latest_ami_metadata()


def test_metadata_of_another_image_is_refused_when_history_knows_nothing(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(module, "_READ_PAUSE_SECONDS", 0)
    store = FakeStore(prod=OLD)
    store.values["/comfyui/ami/prod/latest"] = "ami-0000000000000000c"
    with pytest.raises(InvalidMetadataError, match="describes 'ami-0000000000000000a'"):
        make_client(store).get_latest_ami()


@pytest.mark.parametrize("value", ["{not json", "", '["a list"]', "3"])
def test_metadata_that_is_no_json_object_is_refused(value: str) -> None:
    store = FakeStore(prod=OLD)
    store.values["/comfyui/ami/prod/metadata"] = value
    with pytest.raises(InvalidMetadataError, match="/comfyui/ami/prod/metadata") as caught:
        make_client(store).get_latest_ami_metadata()
    assert isinstance(caught.value, ValueError)


@pytest.mark.parametrize(
    ("fault", "kind", "base"),
    [
        (refusal("AccessDeniedException"), AccessDeniedError, PermissionError),
        (refusal("ExpiredTokenException"), AccessDeniedError, PermissionError),
        (NoCredentialsError(), AccessDeniedError, PermissionError),
        (EndpointConnectionError(endpoint_url="x"), ServiceUnavailableError, ConnectionError),
        (refusal("ThrottlingException"), ServiceUnavailableError, ConnectionError),
        (refusal("InternalServerError", status=500), ServiceUnavailableError, ConnectionError),
        # An answer that was cut off: without its code, without a member, or in the middle.
        (refusal("400"), ServiceUnavailableError, ConnectionError),
        (refusal(""), ServiceUnavailableError, ConnectionError),
        (KeyError("Parameter"), ServiceUnavailableError, ConnectionError),
        (ResponseParserError("cut off"), ServiceUnavailableError, ConnectionError),
    ],
)
def test_network_and_permission_errors_are_told_apart(
    fault: Exception, kind: type[AmiLookupError], base: type[Exception]
) -> None:
    store = FakeStore(prod=OLD)
    store.faults["GetParameter"] = fault
    with pytest.raises(kind) as caught:
        make_client(store).get_latest_ami_id()
    assert isinstance(caught.value, base)
    assert not isinstance(caught.value, ValueError)
    assert caught.value.region == "us-east-1"


@pytest.mark.parametrize(
    "fault",
    [
        SSOTokenLoadError(error_msg="no token"),
        UnauthorizedSSOTokenError(),
        TokenRetrievalError(provider="sso", error_msg="expired"),
        CredentialRetrievalError(provider="custom-process", error_msg="expired"),
        LoginRefreshRequired(),
        RuntimeError("Credentials were refreshed, but the refreshed credentials are still expired."),
        refusal("ExpiredTokenException"),
        refusal("InvalidClientTokenId", status=403),
        refusal("UnrecognizedClientException"),
    ],
)
def test_an_expired_login_is_to_be_renewed_and_no_matter_of_the_network(fault: Exception) -> None:
    store = FakeStore(prod=OLD)
    store.faults["GetParameter"] = fault
    with pytest.raises(AccessDeniedError, match="Renew the credentials") as caught:
        make_client(store).get_latest_ami_id()
    assert "aws sso login --profile" in str(caught.value)
    for wrong in ("network", "Grant"):
        assert wrong not in str(caught.value)


def test_a_denied_permission_is_to_be_granted() -> None:
    store = FakeStore(prod=OLD)
    store.faults["GetParameter"] = refusal("AccessDeniedException")
    with pytest.raises(AccessDeniedError, match="Grant ssm:GetParameter") as caught:
        make_client(store).get_latest_ami_id()
    assert "sso login" not in str(caught.value)


@pytest.mark.parametrize("fault", [refusal("SomethingNew"), RuntimeError("something new")])
def test_an_error_that_nobody_knows_passes_untouched(fault: Exception) -> None:
    store = FakeStore(prod=OLD)
    store.faults["GetParameter"] = fault
    with pytest.raises(type(fault)) as caught:
        make_client(store).get_latest_ami_id()
    assert caught.value is fault


def test_history_has_every_record_the_newest_first() -> None:
    store = FakeStore(prod=OLD)
    store.publish(NEW)
    history = make_client(store).get_history()
    assert [each["ami_id"] for each in history] == [NEW["ami_id"], OLD["ami_id"]]
    assert history[0]["status"] == "live"


@pytest.mark.parametrize("turned", [False, True])
def test_of_two_images_of_one_second_the_live_one_is_the_newest(*, turned: bool) -> None:
    first, second = (NEW, OLD) if turned else (OLD, NEW)
    at_once = {"workflow_run_number": "1", "creation_date": "2026-01-05T08:00:00Z"}
    store = FakeStore(prod={**first, **at_once})
    store.publish({**second, **at_once})
    history = make_client(store).get_history()
    assert [each["ami_id"] for each in history] == [second["ami_id"], first["ami_id"]]


def test_history_is_followed_where_listing_is_not_permitted() -> None:
    store = FakeStore(prod=OLD)
    store.publish(NEW)
    store.faults["GetParametersByPath"] = refusal("AccessDeniedException", "GetParametersByPath")
    history = make_client(store).get_history()
    assert [each["ami_id"] for each in history] == [NEW["ami_id"], OLD["ami_id"]]


def test_history_that_replaces_in_a_circle_ends() -> None:
    store = FakeStore(prod=record(OLD["ami_id"], replaces=NEW["ami_id"]))
    store.publish(NEW)
    store.faults["GetParametersByPath"] = refusal("AccessDeniedException", "GetParametersByPath")
    assert len(make_client(store).get_history()) == 2


def test_the_library_imports_boto3_and_nothing_else_that_has_to_be_installed() -> None:
    program = (
        "import sys; import ami_lifecycle_client; "
        "print(sorted({n.split('.')[0] for n in sys.modules} & {'pydantic', 'yaml', 'aws_lambda_powertools', 'rich'}))"
    )
    done = subprocess.run(  # noqa: S603 - our own program
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == "[]"
