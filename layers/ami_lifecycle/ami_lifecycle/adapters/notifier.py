"""Amazon SNS behind the port `Notifier`."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors

SUBJECT_LIMIT: Final = 100


def _subject(text: str) -> str:
    """A subject that SNS takes: ASCII, one line, at most 100 characters (SNS API reference, Publish)."""
    ascii_only = text.encode("ascii", "replace").decode("ascii")
    return " ".join(ascii_only.split())[:SUBJECT_LIMIT]


class SnsNotifier:
    """Publishes outcomes to one topic, through a low-level SNS client."""

    def __init__(self, client: Any, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    @calls("sns:Publish")
    def notify(self, subject: str, message: Mapping[str, Any]) -> None:
        """Publish one outcome; the message is JSON, dates in it are ISO 8601."""
        with aws_errors("sns:Publish", self._topic_arn):
            self._client.publish(
                TopicArn=self._topic_arn,
                Subject=_subject(subject),
                Message=json.dumps(message, indent=2, default=str),
            )
