"""Which engines the contract suites run on.

`make test` has MiniStack. `make test-engines` names the folder of the others in HEADRACE_ENGINES, and then they take
its place: suites that both have run would only be slower. Each name below is a fixture that points the AWS SDK there.
"""

import os
from pathlib import Path

FOLDER = Path(os.environ.get("HEADRACE_ENGINES", ""))
"""Where scripts/engines.py has put kinesis-local and DynamoDB Local."""
_REAL = "HEADRACE_ENGINES" in os.environ

DYNAMODB = ["dynamodb_local"] if _REAL else ["aws_environment"]
KINESIS = ["kinesis_local"] if _REAL else ["aws_environment"]
FAITHFUL = ["kinesis_local"] if _REAL else []
"""They keep a closed shard until it is read and end a page at 10 MiB, as Kinesis does. MiniStack does neither."""
