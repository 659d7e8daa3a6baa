from headrace.state.sources import KEPT_HOURS, Hours, Totals, add_to_hour, hours_of, hours_to_document


def test_hours_add_up_and_the_oldest_go() -> None:
    hours: Hours = {}
    for hour in range(100, 100 + KEPT_HOURS + 1):
        for _ in range(2):
            hours = add_to_hour(hours, hour, Totals(polled=3, accepted=3, put=3))
    assert list(hours) == list(range(101, 101 + KEPT_HOURS))
    assert set(hours.values()) == {Totals(polled=6, accepted=6, put=6)}


def test_nothing_makes_no_hour() -> None:
    assert add_to_hour({}, 7, Totals()) == {}


def test_a_document_gives_back_the_hours_it_was_made_of() -> None:
    hours = {7: Totals(polled=3, accepted=2, rejected=1, spooled=2), 8: Totals(put=2, spooled=-2)}
    assert hours_to_document(hours)["8"] == {"put": 2, "spooled": -2}
    assert hours_of({"hours": hours_to_document(hours)}) == hours
    assert hours_of({"totals": {}}) == {}
