"""Times in every accepted form."""

from datetime import UTC, datetime

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from headrace.events.columns import times
from headrace.events.times import to_micros

MOMENTS = st.datetimes(datetime(1973, 4, 1), datetime(5000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001 - bounds are naive


@given(MOMENTS)
def test_every_form_of_a_moment_means_the_same(moment: datetime) -> None:
    micros = (moment - datetime(1970, 1, 1, tzinfo=UTC)) // (datetime.resolution)
    assert to_micros(moment.isoformat()) == micros
    assert to_micros(moment.replace(tzinfo=None).isoformat(sep=" ")) == micros
    assert to_micros(micros // 1_000_000) == micros // 1_000_000 * 1_000_000
    assert to_micros(micros // 1000) == micros // 1000 * 1000
    assert to_micros(str(micros // 1000)) == micros // 1000 * 1000


@given(
    st.lists(
        st.one_of(
            st.none(), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.text(), MOMENTS.map(str)
        )
    )
)
def test_a_column_of_times_is_the_times_one_by_one(values: list[int | float | str | None]) -> None:
    def alone(value: float | str | None) -> int | None:
        try:
            return None if value is None else to_micros(value)
        except ValueError:
            return None

    assert times(values).to_pylist() == [alone(value) for value in values]
    assert times(values).type == pa.int64()


@given(st.lists(st.integers(-(2**63), 2**63 - 1)))
def test_a_column_of_integers_takes_the_fast_way_to_the_same_end(values: list[int]) -> None:
    assert times(values).to_pylist() == [times([value]).to_pylist()[0] for value in values]


@pytest.mark.parametrize("value", [-1, "-1", 10**15, "1969-12-31", "", " ", "12:00", "2026-13-01", "1e5", "٣", 1e300])
def test_what_is_no_time_is_refused(value: float | str) -> None:
    with pytest.raises(ValueError, match=r"1970|ISO"):
        to_micros(value)


def test_a_whole_float_is_as_exact_as_the_integer() -> None:
    assert to_micros(72057594037929.0) == to_micros(72057594037929) == 72057594037929000


def test_a_float_of_seconds_keeps_its_microseconds() -> None:
    assert to_micros(1574553600.123456) == 1574553600123456
