import pytest

from headrace.events.arrow import EVENT_SCHEMA
from headrace.lake.parquet import encode, footer_bytes, row_count
from tests.unit.delivery.batches import Shard, record


async def test_the_end_of_a_file_tells_its_rows() -> None:
    shard = Shard()
    await shard.deliver([record(2 * n) for n in range(30)], await shard.take())
    [key] = shard.visible()
    body = await shard.store.get(key)
    needed = footer_bytes(body[-8:])
    assert 8 < needed < len(body)
    assert row_count(body[-needed:]) == row_count(body) == 30
    with pytest.raises(ValueError, match="no Parquet"):
        row_count(body[1 - needed :])


def test_a_file_without_rows_has_none() -> None:
    assert row_count(encode(EVENT_SCHEMA.empty_table())) == 0


@pytest.mark.parametrize("body", [b"", b"PAR1", b"0123456789", b"\xff\xff\xff\xffPAR1"])
def test_what_is_no_parquet_tells_nothing(body: bytes) -> None:
    with pytest.raises(ValueError, match="no Parquet"):
        row_count(body)


@pytest.mark.parametrize("body", [b"", b"PAR1", b"0123456789"])
def test_what_does_not_end_like_parquet_has_no_footer(body: bytes) -> None:
    with pytest.raises(ValueError, match="no Parquet"):
        footer_bytes(body)
