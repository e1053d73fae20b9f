"""Amazon SNS and EventBridge behind the port `Notifier`: messages for people, events for systems."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from ami_lifecycle.adapters.permissions import calls
from ami_lifecycle.adapters.translation import aws_errors
from ami_lifecycle.domain import texts
from ami_lifecycle.domain.outcomes import SOURCE, Outcome
from ami_lifecycle.errors import ServiceUnavailableError

# EventBridge API reference, PutEvents: at most 10 entries in a request.
ENTRIES_PER_CALL: Final = 10


class AwsNotifier:
    """Publishes outcomes to one topic and to the account's default event bus, through low-level clients."""

    def __init__(self, sns: Any, events: Any, topic_arn: str) -> None:
        self._sns = sns
        self._events = events
        self._topic_arn = topic_arn

    @calls("sns:Publish")
    def notify(self, subject: str, message: Mapping[str, Any]) -> None:
        """Publish one outcome; the message is JSON, dates in it are ISO 8601."""
        with aws_errors("sns:Publish", self._topic_arn):
            self._sns.publish(
                TopicArn=self._topic_arn,
                Subject=texts.subject(subject),
                Message=texts.fitting(message, texts.MESSAGE_BYTES, indent=2),
            )

    @calls("events:PutEvents")
    def announce(self, outcomes: Sequence[Outcome]) -> None:
        """Put events on the bus, in order. What a retry repeats has the same detail.

        Raises:
            ServiceUnavailableError: the bus did not take all of them.
        """
        entries = [
            {
                "Source": SOURCE,
                "DetailType": outcome.detail_type,
                "Detail": texts.fitting(outcome.model_dump(mode="json"), texts.EVENT_BYTES),
                "Resources": [outcome.execution_arn],
            }
            for outcome in outcomes
        ]
        for start in range(0, len(entries), ENTRIES_PER_CALL):
            with aws_errors("events:PutEvents", SOURCE):
                answer = self._events.put_events(Entries=entries[start : start + ENTRIES_PER_CALL])
                failed = [entry for entry in answer["Entries"] if entry.get("ErrorCode")]
                if answer["FailedEntryCount"] or failed:
                    first = failed[0]
                    raise ServiceUnavailableError(
                        f"events:PutEvents took all but {len(failed)} events: {first['ErrorCode']}: "
                        f"{first.get('ErrorMessage', '')}. It is tried again after a pause."
                    )
