"""Lines that are good, and lines with what may be wrong with them."""

import json
from typing import Any

from hypothesis import strategies as st

from tests.unit.jobs.medallion.duck.decoding import ARRIVED, event

ODD_TEXTS = ("", "a", "Île", "5", "-1.5e3", "true", "null", "[x]", "{}", "a\nb", " ", "\x00", "😀", 'q"\\')
NUMBERS = (
    0, 1, -1, 5, 2**31 - 1, 2**31, 2**63 - 1, 2**63, 10**14, 10**11, 99999999999.9999, 0.1, 1.5, 44.99, -0.0, 0.00005,
    0.00015, 1.00005, 12345.6789, 1e300, 1e16,
)  # fmt: skip
TIMES = (
    0, 1, -1, ARRIVED - 1.5, ARRIVED + 3599, ARRIVED + 3600, ARRIVED + 3601, int(ARRIVED), int(ARRIVED) + 3600,
    int(ARRIVED) * 1000 + 3_600_000, int(ARRIVED) * 1000 + 3_600_001, 99_999_999_999, 100_000_000_000,
    253_402_300_799_999, 253_402_300_800_000, "1775721600", "2026-04-09T08:00:00Z", "2026-04-09 08:00:00.123456", "no",
    "2026-04-09 08:00:00.123", "2026-04-09T08:00:00.007Z", "2026-02-30T08:00:00Z", "2026-04-09T24:00:00Z",
    "2026-04-09T08:00:60Z", "1973-03-03T09:46:39Z", "1973-03-03T09:46:40Z", "1969-12-31T23:59:59Z", " 2026-04-09",
    "0000-01-01T00:00:00", "9999-12-31T23:59:59.999Z", "2026-04-09T08:00:00+02:00", "2026-04-09T08:00:00ZZ",
    "2026-04-09T13:00:01Z",
)  # fmt: skip
TYPES = ("purchase", "click", "own_type", "a" * 64, "a" * 65, "Purchase", "9a", "a\n", "", 5, None)
AGENTS = ("curl/8", "Mozilla/5.0 (iPhone) Mobile", "", "5", 5, None)
ADDRESSES = ("203.0.113.7", "2001:db8:1:2::3", "::ffff:1.2.3.4", "1.2.3.4:80", "none", "5", 5, 1.5, None)
TEXT_COLUMNS = (
    "event_id", "session_id", "user_id", "page_url", "product_id", "category", "currency", "device_type", "browser",
    "os", "country", "region", "city", "source",
)  # fmt: skip
NUMBER_COLUMNS = ("quantity", "price", "revenue", "rating", "schema_version")

texts = st.sampled_from(ODD_TEXTS) | st.text(max_size=6)
numbers = st.sampled_from(NUMBERS)
others = st.sampled_from([None, True, False, [], [1], {}, {"a": 1}, "5", "5.5", "1e2", "1_0", "NaN"])
anything = texts | numbers | others
geos = st.fixed_dictionaries({}, optional={"country": texts, "region": texts, "city": anything, "x": anything})
fields: dict[str, st.SearchStrategy[Any]] = {
    **dict.fromkeys(TEXT_COLUMNS, texts | anything),
    **dict.fromkeys(NUMBER_COLUMNS, numbers | anything),
    "event_type": st.sampled_from(TYPES),
    "timestamp": st.sampled_from(TIMES) | anything,
    "ingest_time": st.sampled_from(TIMES) | anything,
    "is_bot": st.booleans() | anything,
    "user_agent": st.sampled_from(AGENTS),
    "ip": st.sampled_from(ADDRESSES),
    "properties": st.dictionaries(texts, texts, max_size=2) | st.dictionaries(texts, anything, max_size=2) | anything,
    "geo": geos | anything,
    "unknown": anything,
    "session_rule": st.just("gap:30m"),
}
BASES = ({}, {"event_type": "purchase", "price": 44.99, "quantity": 3}, {"event_id": None, "user_id": None})
SEPARATORS = ((",", ":"), (", ", ": "))


@st.composite
def flawed_lines(draw: st.DrawFn) -> bytes:
    """An event with a few fields changed to what may be wrong, now and then cut off or spelt in another way."""
    names = draw(st.lists(st.sampled_from(sorted(fields)), max_size=4, unique=True))
    changed = event(**draw(st.sampled_from(BASES)) | {name: draw(fields[name]) for name in names})
    given = {name: value for name, value in changed.items() if value is not None or draw(st.booleans())}
    text = json.dumps(given, ensure_ascii=draw(st.booleans()), separators=draw(st.sampled_from(SEPARATORS)))
    data = text.encode("utf-8", "surrogatepass")
    spoilt = [data[:-1], data[: len(data) // 2], data + b" ", data + b"x", b"\xff" + data]
    return draw(st.sampled_from([data] * 8 + spoilt))
