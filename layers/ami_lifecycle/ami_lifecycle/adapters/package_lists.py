"""Amazon S3 behind the port `PackageLists`."""

from __future__ import annotations

from typing import Any

from botocore.exceptions import ClientError, FlexibleChecksumError

from ami_lifecycle.adapters.clients import client
from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors, code_of


class S3PackageLists:
    """Lists as objects of one bucket, through a low-level client."""

    def __init__(self, s3: Any, bucket: str) -> None:
        self._s3 = s3
        self._bucket = bucket

    @property
    def bucket(self) -> str:
        """Its name."""
        return self._bucket

    @calls("s3:GetObject", "s3:ListBucket")
    def read(self, key: str) -> str | None:
        """A list; None when there is none.

        Without s3:ListBucket a missing object is answered with AccessDenied (S3 API reference, GetObject).
        """
        with aws_errors("s3:GetObject", self._name(key)):
            try:
                answer = self._s3.get_object(Bucket=self._bucket, Key=key)
                text = answer["Body"].read().decode()
            except FlexibleChecksumError as error:
                raise ValueError(str(error)) from error
            except ClientError as error:
                if code_of(error) == "NoSuchKey":
                    return None
                raise
            if not text:
                raise ValueError("the body is empty")
            return str(text)

    @calls("s3:PutObject")
    def write(self, key: str, text: str) -> None:
        """Write a list. Idempotent."""
        with aws_errors("s3:PutObject", self._name(key)):
            self._s3.put_object(
                Bucket=self._bucket, Key=key, Body=text.encode(), ContentType="application/json"
            )

    @calls("s3:DeleteObject")
    def delete(self, key: str) -> None:
        """Delete it. Idempotent: S3 answers the same for an object that is not there."""
        with aws_errors("s3:DeleteObject", self._name(key)):
            self._s3.delete_object(Bucket=self._bucket, Key=key)

    def _name(self, key: str) -> str:
        return f"s3://{self._bucket}/{key}"


def package_lists(bucket: str) -> S3PackageLists | None:
    """The lists of a stack; None where it keeps none, so that nothing of S3 is loaded."""
    return S3PackageLists(client("s3"), bucket) if bucket else None
