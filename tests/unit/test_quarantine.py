"""Dead letters keep what they were made of."""

from base64 import b64decode

from hypothesis import given
from hypothesis import strategies as st

from headrace.quarantine import envelope, from_jsonl_gz, to_jsonl_gz


@given(st.lists(st.binary(max_size=200)))
def test_payloads_come_back_byte_for_byte(payloads: list[bytes]) -> None:
    letters = [
        envelope(payload, reason="malformed_json", detail="", stage="test", position=str(at), seen_at=1.0)
        for at, payload in enumerate(payloads)
    ]
    body = to_jsonl_gz(letters)
    assert [b64decode(letter.payload) for letter in from_jsonl_gz(body)] == payloads
    assert body == to_jsonl_gz(letters)
