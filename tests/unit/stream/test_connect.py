"""From a stream's URL to its adapter."""

from typing import Any

import pytest

from headrace.aws.session import AwsSession
from headrace.clock import SystemClock
from headrace.errors import ConfigError
from headrace.settings import Settings
from headrace.stream.connect import open_producer, open_reader
from headrace.telemetry.metrics import Metrics


@pytest.mark.parametrize("connect", [open_reader, open_producer])
async def test_a_kind_of_stream_that_is_not_there_yet_is_a_wrong_setting(connect: Any) -> None:
    settings = Settings(stream="kafka://localhost:9092/events")
    async with AwsSession(settings.region) as aws:
        with pytest.raises(ConfigError, match="HEADRACE_STREAM: kafka://"):
            async with connect(settings, aws, Metrics(), SystemClock()):
                pass
