import pyarrow as pa
import pyarrow.compute as pc
import pytest

from jobs.simulate.bulk.draws import Draw, below, drawn, in_share, low_heavy, numbered


def test_ids_are_the_published_outputs_of_splitmix64() -> None:
    assert numbered(0, 1, 3).to_pylist() == [0xE220A8397B1DCDAF, 0x6E789E6AA1B965F4, 0x06C45D188009454F]


def test_numbers_below_a_limit_are_all_drawn_equally_often() -> None:
    counts = pc.value_counts(below(numbered(7, 0, 70_000), 7)).to_pylist()
    assert {each["values"] for each in counts} == set(range(7))
    assert all(each["counts"] == pytest.approx(10_000, rel=0.05) for each in counts)


def test_a_share_holds_from_nothing_to_all() -> None:
    bits = pa.concat_arrays([numbered(7, 0, 50_000), pa.array([0], pa.uint64())])
    assert not pc.any(in_share(bits, 0.0)).as_py()
    assert pc.all(in_share(bits, 1.0)).as_py()
    assert pc.mean(in_share(bits, 0.3).cast(pa.int8())).as_py() == pytest.approx(0.3, abs=0.01)


def test_draws_for_one_id_are_independent_of_each_other() -> None:
    ids = numbered(7, 0, 20_000)
    both = pc.and_(in_share(drawn(ids, Draw.IS_LATE), 0.5), in_share(drawn(ids, Draw.IS_SPOILT), 0.5))
    assert pc.mean(both.cast(pa.int8())).as_py() == pytest.approx(0.25, abs=0.01)


def test_low_numbers_are_drawn_more_often_where_asked_for() -> None:
    numbers = low_heavy(numbered(7, 0, 50_000), 1000)
    assert pc.min_max(numbers).as_py() == {"min": 0, "max": pytest.approx(999, abs=20)}
    assert pc.mean(numbers).as_py() == pytest.approx(250, rel=0.02)
