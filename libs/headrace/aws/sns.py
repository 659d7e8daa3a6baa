"""Messages to people through SNS."""

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

from headrace.alerts import Report, publishing, unheard
from headrace.aws.faults import aws_errors
from headrace.aws.session import AwsSession
from headrace.clock import Clock
from headrace.telemetry.metrics import Metrics

MOST_SUBJECT = 100
"""Characters of a subject that SNS takes; ASCII, without control characters."""


class SnsPublisher:
    """`Publisher` for one topic. Does not retry: the next minute's digest has the same counts and more."""

    def __init__(self, client: Any, topic_arn: str) -> None:
        self._client = client
        self._topic_arn = topic_arn

    async def publish(self, subject: str, message: str) -> None:
        """See `Publisher`."""
        subject = re.sub(r"[^\x20-\x7e]", "?", subject)[:MOST_SUBJECT]
        with aws_errors():
            await self._client.publish(TopicArn=self._topic_arn, Subject=subject, Message=message)


@asynccontextmanager
async def alerts_to(
    topic_arn: str, aws: AwsSession, *, service: str, metrics: Metrics, clock: Clock
) -> AsyncIterator[Report]:
    """Reports become digests on the topic while the block runs; without a topic nobody hears them."""
    if not topic_arn:
        yield unheard
        return
    publisher = SnsPublisher(await aws.client("sns"), topic_arn)
    async with publishing(publisher, service=service, metrics=metrics, clock=clock) as report:
        yield report
