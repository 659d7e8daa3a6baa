"""Rows → JSON lines → a gzipped file, column by column."""

from typing import Any, NamedTuple

import pyarrow as pa
import pyarrow.compute as pc

from jobs.simulate.bulk.cast import POPULARITY_BITS, Cast
from jobs.simulate.bulk.draws import Column, Draw, below, drawn, in_share
from jobs.simulate.bulk.plan import Flaws
from jobs.simulate.bulk.traffic import Rows, ids_of, is_late, person_of, user_of

LEVEL = 1
"""Of gzip: packing is half of all the work. Level 3 makes the files a tenth smaller, for a tenth more time."""

_FIRST_USER = 1_000_000
"""Users' numbers start here: they are other people than the simulator's visitors."""
_HEX_DIGITS = 4
_DAMAGES = 3


class Packed(NamedTuple):
    """One file."""

    body: bytes
    lines: int
    text_bytes: int
    bad_lines: int
    late: int
    """Lines of events that happened long before."""


class Writer:
    """Makes files. Stateless once made: any number of threads may use one."""

    def __init__(self, cast: Cast, flaws: Flaws) -> None:
        self._cast = cast
        self._flaws = flaws
        self._hex = pa.array([b"%04x" % number for number in range(16**_HEX_DIGITS)], pa.binary())
        self._steps = pa.array([b"-%d" % number for number in range(pc.max(cast.step).as_py() + 1)], pa.binary())

    def pack(self, rows: Rows) -> Packed:
        """The file of some rows. Its header names no time and no file, so that equal rows make equal bytes."""
        lines = self.lines(rows)
        spoilt = in_share(drawn(ids_of(rows), Draw.IS_SPOILT), self._flaws.bad_lines)
        bad_lines = pc.sum(spoilt, min_count=0).as_py()
        if bad_lines:
            lines = _with_bad_lines(lines, spoilt, below(drawn(ids_of(rows), Draw.DAMAGE), 2**31 - 1))
        text = _text_of(lines)
        late = pc.sum(is_late(rows["session"], self._flaws.late), min_count=0).as_py()
        # Arrow brings its own zlib along: the same in every process that was installed from the same lock.
        body = pa.Codec("gzip", compression_level=LEVEL).compress(text, asbytes=True)
        return Packed(body, rows.num_rows + bad_lines, len(text), bad_lines, late)

    def lines(self, rows: Rows) -> Column:
        """One JSON object (binary) for each row, with its line break."""
        cast = self._cast
        act, visits = rows["act"], rows["session"].dictionary_encode()
        own = self._rank(rows["session"], pc.take(cast.own_product, act))
        last = self._rank(rows["session"], pc.take(cast.last_product, act))
        openings, middles = self._of_visits(visits.dictionary)
        return _concat(
            pc.take(openings, visits.indices),
            pc.take(self._steps, pc.take(cast.step, act)),
            pc.take(middles, visits.indices),
            rows["time"].cast(pa.string()).cast(pa.binary()),
            pc.take(cast.sayings, pc.take(cast.saying, act)),
            _told(cast.pages, cast.page, act, own),
            _told(cast.referrers, cast.referrer, act, last),
            _told(cast.offers, cast.offer, act, own),
            b"}\n",
        )

    def _of_visits(self, sessions: Column) -> tuple[Column, Column]:
        """What stands before and behind the step in each line of a visit."""
        session = _concat(b"s-", *(pc.take(self._hex, _digits(sessions, shift)) for shift in (48, 32, 16, 0)))
        users = user_of(sessions)
        user = pc.add(users, _FIRST_USER).cast(pa.string()).cast(pa.binary())
        person = pc.take(self._cast.people, person_of(users))
        openings = _concat(b'{"event_id":"', session)
        return openings, _concat(b'","session_id":"', session, b'","user_id":"u-', user, b'"', person, b',"timestamp":')

    def _rank(self, sessions: Column, product: Column) -> Column:
        """The product's rank that each visit means by its n-th."""
        bits = drawn(sessions, pc.add(product, pa.scalar(int(Draw.PRODUCT), pa.uint64())))
        return pc.take(self._cast.ranks, below(bits, 2**POPULARITY_BITS))


def _told(texts: Column, place: tuple[Column, Column], act: Column, rank: Column) -> Column:
    base, has_product = place
    row = pc.add(pc.take(base, act), pc.multiply(pc.take(has_product, act), rank))
    return pc.take(texts, row)


def _digits(numbers: Column, shift: int) -> Column:
    moved = pc.shift_right(numbers, pa.scalar(shift, pa.uint64()))
    return pc.bit_wise_and(moved, pa.scalar(16**_HEX_DIGITS - 1, pa.uint64()))


def _concat(*parts: Any) -> Column:
    typed = [pa.scalar(part, pa.binary()) if isinstance(part, bytes) else part for part in parts]
    return pc.binary_join_element_wise(*typed, pa.scalar(b"", pa.binary()))


def _text_of(lines: Column) -> Any:
    """The lines one after the other: Arrow keeps them so already."""
    _, offsets, data = lines.buffers()
    ends = pa.Array.from_buffers(pa.int32(), len(lines) + 1, [None, offsets], offset=lines.offset)
    return data.slice(ends[0].as_py(), ends[-1].as_py() - ends[0].as_py()) if data is not None else b""


def _with_bad_lines(lines: Column, spoilt: Column, how: Column) -> Column:
    """Behind each of the `spoilt` lines a damaged copy of it, as `how` says."""
    both = [
        line.as_py() + _damaged(line.as_py(), number.as_py())
        for line, number in zip(lines.filter(spoilt), how.filter(spoilt), strict=True)
    ]
    return pc.replace_with_mask(lines, spoilt, pa.array(both, pa.binary()))


def _damaged(line: bytes, how: int) -> bytes:
    """Cut off, no UTF-8, or with a time that is none: nothing that becomes an event."""
    match how % _DAMAGES:
        case 0:
            return line[: 1 + how % (len(line) - 2)] + b"\n"
        case 1:
            return line.replace(b'"s-', b'"s\xff', 1)
        case _:
            before, name, after = line.partition(b'"timestamp":')
            return before + name + b'"soon"' + after[after.index(b",") :]
