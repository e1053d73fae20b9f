"""Objects that are written and read whole, as the API reference of Amazon S3 has it."""

from __future__ import annotations

import json
import urllib.request
from typing import Any

import pytest
from botocore.exceptions import FlexibleChecksumError
from emulator.tests.contract.account import Account
from emulator.tests.contract.asserting import refused


@pytest.fixture
def s3(account: Account) -> Any:
    client = account.client("s3")
    client.create_bucket(Bucket="lists")
    return client


def test_an_object_reads_back_as_it_was_written_last(s3: Any, account: Account) -> None:
    s3.put_object(Bucket="lists", Key="a/b c.json", Body=b"one")
    account.advance(60)
    put = s3.put_object(
        Bucket="lists", Key="a/b c.json", Body=b'{"two": "\xc3\xa9"}', ContentType="application/json"
    )
    got = s3.get_object(Bucket="lists", Key="a/b c.json")
    assert json.loads(got["Body"].read()) == {"two": "é"}
    assert (got["ContentType"], got["ContentLength"], got["ETag"]) == ("application/json", 13, put["ETag"])
    assert got["LastModified"] == account.clock.now()
    # S3 user guide, Setting default server-side encryption behavior: every new object is encrypted.
    assert got["ServerSideEncryption"] == "AES256"


def test_an_object_without_a_type_is_binary(s3: Any) -> None:
    s3.put_object(Bucket="lists", Key="a", Body=b"")
    assert s3.get_object(Bucket="lists", Key="a")["ContentType"] == "binary/octet-stream"


def test_what_is_missing_is_named(s3: Any) -> None:
    with refused("NoSuchKey"):
        s3.get_object(Bucket="lists", Key="missing")
    for call in (s3.get_object, s3.put_object, s3.delete_object):
        with refused("NoSuchBucket"):
            call(Bucket="others", Key="a")


def test_deleting_answers_the_same_where_there_is_nothing(s3: Any) -> None:
    s3.put_object(Bucket="lists", Key="a", Body=b"x")
    for _ in range(2):
        assert s3.delete_object(Bucket="lists", Key="a")["ResponseMetadata"]["HTTPStatusCode"] == 204
    with refused("NoSuchKey"):
        s3.get_object(Bucket="lists", Key="a")


@pytest.mark.parametrize("name", ["ab", "Lists", "a_b", "-ab", "ab-", "a..b", "192.168.0.1", "a" * 64])
def test_a_bucket_has_a_name_by_the_rules(s3: Any, name: str) -> None:
    """S3 user guide, General purpose bucket naming rules."""
    with refused("InvalidBucketName"):
        s3.create_bucket(Bucket=name)


def test_a_bucket_is_made_once(s3: Any) -> None:
    s3.create_bucket(Bucket="a" * 63)
    with refused("BucketAlreadyOwnedByYou"):
        s3.create_bucket(Bucket="lists")


def test_a_key_has_at_most_1024_bytes(s3: Any) -> None:
    s3.put_object(Bucket="lists", Key="é" * 512, Body=b"x")
    with refused("KeyTooLongError"):
        s3.put_object(Bucket="lists", Key="é" * 512 + "a", Body=b"x")


@pytest.mark.parametrize(
    "checksum", [{"ChecksumCRC32": "AAAAAA=="}, {"ContentMD5": "1B2M2Y8AsgTpgAmY7PhCfg=="}]
)
def test_a_body_that_is_not_what_its_checksum_says_is_refused(s3: Any, checksum: dict[str, str]) -> None:
    """S3 user guide, Checking object integrity."""
    with refused("BadDigest"):
        s3.put_object(Bucket="lists", Key="a", Body=b"x", **checksum)


def test_the_sdk_sees_a_body_that_was_cut_off_on_its_way(s3: Any, account: Account) -> None:
    s3.put_object(Bucket="lists", Key="a", Body=b"0123456789")
    account.faults.add({"kind": "cut", "service": "s3", "operation": "GetObject"})
    body = s3.get_object(Bucket="lists", Key="a")["Body"]
    with pytest.raises(FlexibleChecksumError):
        body.read()
    assert s3.get_object(Bucket="lists", Key="a")["Body"].read() == b"0123456789"


@pytest.mark.parametrize(
    ("operation", "parameters"),
    [
        ("copy_object", {"Bucket": "lists", "Key": "b", "CopySource": "lists/a"}),
        ("get_object_tagging", {"Bucket": "lists", "Key": "a"}),
        ("head_object", {"Bucket": "lists", "Key": "a"}),
        ("list_objects_v2", {"Bucket": "lists"}),
        ("list_buckets", {}),
        ("delete_bucket", {"Bucket": "lists"}),
    ],
)
def test_operations_that_are_not_emulated_are_not_taken_for_others(
    s3: Any, operation: str, parameters: dict[str, str]
) -> None:
    s3.put_object(Bucket="lists", Key="a", Body=b"x")
    with pytest.raises(Exception, match=r"EmulatorUnsupportedOperation|501"):
        getattr(s3, operation)(**parameters)
    assert s3.get_object(Bucket="lists", Key="a")["Body"].read() == b"x"


def test_parameters_that_are_not_emulated_are_refused(s3: Any) -> None:
    with refused("EmulatorUnsupportedParameter"):
        s3.put_object(Bucket="lists", Key="a", Body=b"x", Tagging="a=b")
    with refused("EmulatorUnsupportedParameter"):
        s3.get_object(Bucket="lists", Key="a", Range="bytes=0-1")


def test_errors_are_the_xml_that_s3_answers_with(s3: Any) -> None:
    """S3 API reference, Error responses."""
    url = f"{s3.meta.endpoint_url}/lists/missing"
    scope = "Credential=tester/20260301/us-east-1/s3/aws4_request"
    asked = urllib.request.Request(url, headers={"Authorization": f"AWS4-HMAC-SHA256 {scope}"})  # noqa: S310 - our own server
    with pytest.raises(urllib.request.HTTPError) as answer:
        urllib.request.urlopen(asked)  # noqa: S310
    body = answer.value.read().decode()
    assert answer.value.code == 404
    assert "<Error><Code>NoSuchKey</Code><Message>The specified key does not exist.</Message>" in body
    assert "<Key>missing</Key>" in body
