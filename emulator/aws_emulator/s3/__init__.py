"""Amazon S3: buckets, and objects that are written and read whole."""

from aws_emulator.s3.buckets import Buckets
from aws_emulator.s3.service import S3

__all__ = ["S3", "Buckets"]
