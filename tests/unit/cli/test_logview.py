import io
import json

from rich.console import Console

from cli.logview import LogView, render


def event(**fields: object) -> str:
    return json.dumps({"ts": "2026-04-09T12:30:59.5Z", "level": "info", "service": "transformer", **fields})


def test_a_json_line_becomes_time_event_and_fields() -> None:
    text = render(event(event="batch.committed", rows=123456, objects=2, seconds=0.25, shard="shard-0")).plain
    assert text.split(" ", 1)[1] == "batch.committed rows=123456 objects=2 seconds=0.25 shard=shard-0"


def test_the_level_is_shown_when_it_matters() -> None:
    assert " warning lease.lost " in render(event(event="lease.lost", level="warning", cause="stolen")).plain
    assert "info" not in render(event(event="lease.taken")).plain


def test_the_trace_id_is_left_to_machines() -> None:
    assert render(event(event="poll.kept", trace_id="4bf92f3577b34da6a3ce929d0e0e4736", events=1)).plain.endswith(
        "poll.kept events=1"
    )


def test_a_stack_trace_keeps_its_lines() -> None:
    assert render(event(event="service.failed", exception="Traceback\n  line")).plain.endswith("\nTraceback\n  line")


def test_nested_values_are_flat_and_readable() -> None:
    text = render(event(event="x", parts=["a", "b"], empty="", counts={"a": 1, "b": 2.5}, ok=True, none=None)).plain
    assert text.endswith("x parts=a, b counts=a=1 b=2.5 ok=true none=null")


def test_what_is_no_log_line_passes_as_it_is() -> None:
    for line in ("plain words", '{"no": "event name"}', "[1, 2]", '"text"', '{"cut off'):
        assert render(line).plain == line


def test_a_line_without_a_usable_time_is_still_shown() -> None:
    assert render('{"event": "x", "ts": 5}').plain == "--:--:-- x"


def test_labels_are_aligned_and_long_lines_not_broken() -> None:
    output = io.StringIO()
    view = LogView(Console(file=output, width=40))
    view.introduce("up")
    view.introduce("transformer")
    view.line("up", b"short\n")
    view.line("transformer", b"x" * 100)
    view.line("transformer", b"\n")
    assert output.getvalue().splitlines() == ["up          │ short", "transformer │ " + "x" * 100]


def test_brackets_of_a_payload_are_no_markup() -> None:
    output = io.StringIO()
    LogView(Console(file=output)).line("a", event(event="x", detail="[red]not red[/red]").encode())
    assert "detail=[red]not red[/red]" in output.getvalue()


def test_raw_lines_stay_json() -> None:
    output = io.StringIO()
    view = LogView(Console(file=output), raw=True)
    view.line("transformer", event(event="x").encode() + b"\n")
    view.say("transformer", "ended")
    first, second = map(json.loads, output.getvalue().splitlines())
    assert first["event"] == "x"
    assert (second["of"], second["message"]) == ("transformer", "ended")
