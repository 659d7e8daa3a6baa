"""Which engines the contract suites run on, and where each of them is not like AWS.

`make test` has MiniStack. `make test-engines` names the folder of the others in HEADRACE_ENGINES, and then they take
its place: suites that both have run would only be slower.

Every known difference is a `Gap`. A test that an engine cannot pass names the gap (`engines.without`) and runs on the
memory adapter and on the engines that do not have it; `test_gaps.py` asks each engine whether its gaps are still there;
docs/engines.md is written from here.
"""

import os
from collections.abc import Collection
from dataclasses import dataclass
from enum import Enum, StrEnum
from pathlib import Path

FOLDER = Path(os.environ.get("HEADRACE_ENGINES", ""))
"""Where scripts/engines.py has put kinesis-local and DynamoDB Local."""


class Port(StrEnum):
    """What of AWS an engine stands for."""

    STREAM = "Kinesis"
    TABLES = "DynamoDB"
    OBJECTS = "S3"
    TOPICS = "SNS"
    CATALOGUE = "Glue"
    ALL = "all"


class Engine(StrEnum):
    """An engine, by the name that people know."""

    MINISTACK = "MiniStack"
    KINESIS_LOCAL = "kinesis-local"
    DYNAMODB_LOCAL = "DynamoDB Local"


FIXTURES = {
    Engine.MINISTACK: "aws_environment",
    Engine.KINESIS_LOCAL: "kinesis_local",
    Engine.DYNAMODB_LOCAL: "dynamodb_local",
}
"""What points the AWS SDK at it."""
RUNNING = {Port.STREAM: Engine.MINISTACK, Port.TABLES: Engine.MINISTACK, Port.OBJECTS: Engine.MINISTACK}
if "HEADRACE_ENGINES" in os.environ:
    RUNNING = {Port.STREAM: Engine.KINESIS_LOCAL, Port.TABLES: Engine.DYNAMODB_LOCAL}


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """Where engines are not like AWS."""

    port: Port
    engines: tuple[Engine, ...]
    here: str
    """What the engine does."""
    aws: str
    """What AWS does."""
    shown_by: tuple[str, ...]
    """Tests that show, on something else, what we make of what AWS does: `file::test`."""
    unseen: str = ""
    """Why no test of `test_gaps.py` would notice that the gap was closed; empty when one does."""


_MINISTACK = (Engine.MINISTACK,)
_MEMORY = "tests/unit/stream/test_memory.py"
_STREAM = "tests/contract/test_stream.py"


class Gap(Enum):
    """The known differences, by a name."""

    FORGETS_CLOSED_SHARDS = Difference(
        port=Port.STREAM,
        engines=_MINISTACK,
        here="A shard that was split or merged is gone at once, with all that nobody had read of it.",
        aws="It is closed, and can be read to its end until the retention is over.",
        shown_by=(
            f"{_STREAM}::test_a_split_shard_is_read_to_its_end_and_its_children_go_on",
            f"{_STREAM}::test_a_merged_shard_takes_over_the_range_of_both",
            "tests/contract/test_resharding.py::test_events_put_while_the_stream_is_resharded_are_read_once_each",
        ),
    )
    COUNT_EMPTIES = Difference(
        port=Port.STREAM,
        engines=_MINISTACK,
        here="UpdateShardCount puts new, empty shards in the place of all, without parents and under the same names.",
        aws="It splits and merges, and what was put before stays readable.",
        shown_by=(
            "tests/contract/test_resharding.py::test_a_stream_whose_shard_count_is_updated_under_load_loses_nothing",
        ),
    )
    LONG_PAGES = Difference(
        port=Port.STREAM,
        engines=_MINISTACK,
        here="A page may have more than 10 MiB.",
        aws="GetRecords ends a page there, and the next one goes on.",
        shown_by=(f"{_STREAM}::test_a_page_has_ten_mebibytes_at_most_and_the_next_goes_on",),
    )
    OPENS_AT_NOTHING = Difference(
        port=Port.STREAM,
        engines=_MINISTACK,
        here="A reader can be opened at a sequence number that no record of the shard has.",
        aws="GetShardIterator refuses it.",
        shown_by=(
            "tests/contract/test_stream_places.py::test_a_record_of_no_shard_is_not_found",
            "tests/unit/stream/kinesis/test_reader.py::test_a_sequence_number_that_is_gone_is_not_found",
        ),
    )
    NAMES_AGAIN = Difference(
        port=Port.STREAM,
        engines=_MINISTACK,
        here="The second page of a list of shards is only given to who names the stream beside the token.",
        aws="A token stands alone: with a name beside it the call is refused.",
        shown_by=(
            "tests/contract/test_resharding.py::test_shards_on_many_pages_are_all_listed",
            "tests/unit/stream/kinesis/test_shards.py::test_shards_are_listed_to_the_last_page",
        ),
    )
    UNLIMITED_SHARDS = Difference(
        port=Port.STREAM,
        engines=(Engine.MINISTACK, Engine.KINESIS_LOCAL),
        here="A shard takes and gives as much as anybody asks.",
        aws="1,000 records and 1 MiB a second in, five GetRecords and 2 MiB a second out; more is throttled.",
        shown_by=(
            f"{_MEMORY}::test_a_shard_takes_a_thousand_records_a_second_and_names_those_it_does_not",
            f"{_MEMORY}::test_a_shard_answers_five_reads_a_second_to_all_its_readers_together",
            "tests/unit/stream/kinesis/test_producer.py::test_only_what_failed_is_sent_again_in_its_order",
            "tests/unit/stream/kinesis/test_reader.py::test_throttling_is_waited_out_with_the_same_iterator",
        ),
    )
    SLOW_WHEN_FULL = Difference(
        port=Port.STREAM,
        engines=(Engine.KINESIS_LOCAL,),
        here="A put takes the longer the more its shard holds: 500 records 0.1 s at first, 1 s at 8,000 a shard.",
        aws="A shard takes 1,000 records a second, whatever it holds.",
        shown_by=(f"{_MEMORY}::test_a_shard_takes_a_thousand_records_a_second_and_names_those_it_does_not",),
        unseen="how long a call takes depends on the machine",
    )
    LONG_CALLS = Difference(
        port=Port.STREAM,
        engines=(Engine.KINESIS_LOCAL,),
        here="PutRecords takes more than 500 records and more than 5 MiB in one call.",
        aws="It refuses such a call whole.",
        shown_by=(
            "tests/unit/stream/test_batcher.py::test_batches_are_the_entries_in_order_and_within_both_limits",
            f"{_MEMORY}::test_a_call_over_its_limits_is_refused",
        ),
    )
    ONE_ENDING = Difference(
        port=Port.STREAM,
        engines=(Engine.KINESIS_LOCAL,),
        here="The EndingSequenceNumber of every closed shard is 2⁶³ - 1, lower than any sequence number in it.",
        aws="It is the highest that the shard can have given out. We ask only whether there is one.",
        shown_by=("tests/unit/stream/kinesis/test_shards.py::test_shards_are_listed_to_the_last_page",),
    )
    LONG_LIVED = Difference(
        port=Port.STREAM,
        engines=(Engine.MINISTACK, Engine.KINESIS_LOCAL),
        here="Iterators expire after five minutes, MiniStack's records after a day.",
        aws="The same; but no suite waits so long.",
        shown_by=(
            f"{_MEMORY}::test_a_reader_whose_iterator_expired_goes_on_after_the_last_record_returned",
            f"{_MEMORY}::test_records_older_than_the_retention_are_gone_without_a_word",
            "tests/unit/stream/kinesis/test_reader.py::test_an_expired_iterator_is_replaced_behind_the_last_record_returned",
        ),
        unseen="there is nothing to be closed",
    )
    UNLIMITED_TABLES = Difference(
        port=Port.TABLES,
        engines=(Engine.MINISTACK, Engine.DYNAMODB_LOCAL),
        here="A table takes more writes than its capacity.",
        aws="It throttles.",
        shown_by=("tests/unit/counters/test_dynamodb.py::test_a_passing_fault_is_tried_again_with_everything",),
    )
    NOTHING_EXPIRES = Difference(
        port=Port.TABLES,
        engines=_MINISTACK,
        here="Time to live can be set and is not acted upon. (DynamoDB Local removes items within seconds.)",
        aws="Expired items are removed within days. Readers of ours go by the hour in an item's key, never by that.",
        shown_by=("tests/contract/counters/test_ledgers.py::test_a_ledger_item_expires_a_quarter_after_its_hour",),
        unseen="AWS leaves expired items there for days, too",
    )
    OVERLAPPING_PATHS = Difference(
        port=Port.TABLES,
        engines=_MINISTACK,
        here="An update may set one attribute twice.",
        aws="It is refused as malformed.",
        shown_by=("tests/contract/leases/test_kcl.py::test_a_row_is_valid_for_kcl_after_every_write_of_ours",),
    )
    SMALL_PARTS = Difference(
        port=Port.OBJECTS,
        engines=_MINISTACK,
        here="Every part of a multipart upload may be small. The suites make use of it.",
        aws="All parts but the last have 5 MiB or more; else the completion is refused.",
        shown_by=("tests/contract/lake/test_staging.py::test_parts_are_16_mib_and_another_process_can_complete_them",),
    )
    COMPLETES_AGAIN = Difference(
        port=Port.OBJECTS,
        engines=_MINISTACK,
        here="A completed upload can be completed again for ever, and the answer is 200.",
        aws="For a while; then there is no such upload, or the key is taken.",
        shown_by=(
            "tests/unit/lake/test_memory.py::test_a_completed_upload_is_forgotten_or_answered_again",
            "tests/unit/lake/test_s3.py::test_a_refusal_is_an_answer",
        ),
    )
    NEVER_BUSY = Difference(
        port=Port.OBJECTS,
        engines=_MINISTACK,
        here="Conditional writes of one key wait for each other; none is answered by 409.",
        aws="One that meets another is told so (409, ConditionalRequestConflict) and has to be repeated.",
        shown_by=("tests/unit/lake/test_s3.py::test_a_refusal_is_an_answer",),
        unseen="it takes a race that nobody can bring about",
    )
    NO_LIFECYCLE = Difference(
        port=Port.OBJECTS,
        engines=_MINISTACK,
        here="Lifecycle rules are kept and never carried out.",
        aws="They remove uploads, manifests and spooled pages, once a day.",
        shown_by=(
            "tests/contract/lake/test_staging.py::test_an_upload_that_the_lifecycle_rule_removed_is_told",
            "tests/unit/delivery/test_recover.py::test_a_window_ends_where_a_lifecycle_rule_removed_the_manifests",
        ),
        unseen="AWS, too, takes a day",
    )
    ANY_SUBJECT = Difference(
        port=Port.TOPICS,
        engines=_MINISTACK,
        here="A message's subject may have any length and characters.",
        aws="Up to 100 characters of ASCII, no line breaks; else the message is refused.",
        shown_by=("tests/unit/test_alerts.py::test_a_subject_is_one_that_sns_takes",),
    )
    ONE_PAGE = Difference(
        port=Port.CATALOGUE,
        engines=_MINISTACK,
        here="GetPartitions answers with all partitions of a table at once.",
        aws="A page has 1,000 at most, and may have none though there are more.",
        shown_by=("tests/unit/catalog/test_glue.py::test_partitions_are_read_to_the_last_page",),
    )
    STRAY_PARTITIONS = Difference(
        port=Port.CATALOGUE,
        engines=_MINISTACK,
        here="A table that is not there takes partitions, and has none when it is asked.",
        aws="EntityNotFoundException.",
        shown_by=("tests/unit/catalog/test_glue.py::test_partitions_of_no_table_are_not_found",),
    )
    NO_BATCH_DELETE = Difference(
        port=Port.CATALOGUE,
        engines=_MINISTACK,
        here="BatchDeletePartition is not known. So we drop partitions one by one, there and on AWS.",
        aws="It drops 25 in a call.",
        shown_by=("tests/unit/catalog/test_glue.py::test_partitions_that_are_gone_already_are_dropped",),
    )
    SAVES_LATE = Difference(
        port=Port.ALL,
        engines=_MINISTACK,
        here="It saves what it holds only when it ends on SIGTERM; killed, its S3 is ahead of all else.",
        aws="What was answered is durable.",
        shown_by=(
            "tests/e2e/test_up.py::test_simulated_shoppers_become_rows_counts_and_metrics_and_a_second_run_goes_on",
        ),
        unseen="our chaos kills our processes, never the engine",
    )


def fixtures(port: Port, *without: Gap) -> list[str]:
    """The engine of this run that speaks a port, by its fixture, unless it has one of these gaps."""
    engine = RUNNING[port]
    return [] if any(engine in gap.value.engines for gap in without) else [FIXTURES[engine]]


def noticed(engines: Collection[Engine]) -> list[Gap]:
    """The gaps of some engines that a test can ask for."""
    return [gap for gap in Gap if not gap.value.unseen and set(gap.value.engines) & set(engines)]


DYNAMODB = fixtures(Port.TABLES)
KINESIS = fixtures(Port.STREAM)
