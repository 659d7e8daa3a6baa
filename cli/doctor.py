"""`headrace doctor`: the settings as the services will see them, and whether what they point at answers."""

import asyncio
import os
import sys
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer
from pydantic import AliasChoices, SecretStr
from rich.console import Console
from rich.table import Table

from cli.cloud import DEFAULT_DATA, cloud_for
from headrace.aws.faults import aws_errors
from headrace.aws.session import AwsSession
from headrace.catalog.athena import AthenaClient
from headrace.clock import SystemClock
from headrace.errors import AccessError, ConfigError, HeadraceError, NotFoundError
from headrace.events.enrich import Enricher
from headrace.events.mapping import load_mapping
from headrace.settings import Settings, load
from headrace.stream.kinesis.shards import describe, list_shards

CHECK_SECONDS = 20.0


class Format(StrEnum):
    """How the findings are printed."""

    TABLE = "table"
    JSON = "json"


@dataclass(frozen=True, slots=True, kw_only=True)
class Setting:
    """One setting as it is now."""

    name: str
    value: str
    source: str
    """`env` or `default`."""
    about: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Finding:
    """What a check found."""

    check: str
    ok: bool
    detail: str
    advice: str = ""
    """What to do when it is not ok."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Check:
    """Something to look at. `look` returns what is there, or raises a `HeadraceError`."""

    name: str
    look: Callable[[], Awaitable[str]]
    advice: str


def doctor(
    *,
    data: Annotated[Path, typer.Option(metavar="DIR", help="Data folder of the local cloud.")] = DEFAULT_DATA,
    output: Annotated[Format, typer.Option("--format", help="table or json.")] = Format.TABLE,
    everything: Annotated[bool, typer.Option("--all", help="Show settings that have their defaults, too.")] = False,
) -> None:
    """Check what the settings point at, and show them; exit status 1 when something is wrong.

    Example: [bold]headrace doctor --format json[/bold]
    """
    settings = load()
    findings = asyncio.run(examine(settings, data))
    shown = describe_settings(settings, os.environ)
    if output is Format.JSON:
        rows = [{"kind": "setting", **asdict(row)} for row in shown]
        rows += [{"kind": "check", **asdict(finding)} for finding in findings]
        sys.stdout.write(msgspec.json.encode(rows).decode() + "\n")
    else:
        _print(shown, findings, everything=everything)
    raise typer.Exit(0 if all(finding.ok for finding in findings) else 1)


def describe_settings(settings: Settings, env: Mapping[str, str]) -> list[Setting]:
    """Every setting with its value (secrets masked) and where that comes from."""
    return [_setting(name, settings, env) for name in Settings.model_fields]


def _setting(name: str, settings: Settings, env: Mapping[str, str]) -> Setting:
    field = Settings.model_fields[name]
    assert isinstance(field.validation_alias, AliasChoices)
    variables = [str(choice) for choice in field.validation_alias.choices]
    used = next((variable for variable in variables if env.get(variable)), None)
    return Setting(
        name=used or variables[0],
        value=_show(getattr(settings, name)),
        source="env" if used else "default",
        about=field.description or "",
    )


def _show(value: Any) -> str:
    match value:
        case SecretStr():
            return "********" if value.get_secret_value() else ""
        case list():
            return ", ".join(map(_show, value))
        case None:
            return ""
        case float():
            return f"{value:g}"
    return str(value)


async def examine(settings: Settings, data: Path) -> list[Finding]:
    """Run every check; those of the cloud at once."""
    findings = [await _look(check) for check in _file_checks(settings)]
    try:
        async with cloud_for(data), AwsSession(settings.region) as aws:
            findings += await asyncio.gather(*(_look(check) for check in _cloud_checks(settings, aws)))
    except NotFoundError as error:
        findings.append(Finding(check="cloud", ok=False, detail=str(error), advice="headrace up"))
    return findings


async def _look(check: Check) -> Finding:
    try:
        async with asyncio.timeout(CHECK_SECONDS):
            detail = await check.look()
    except ConfigError as error:
        return Finding(check=check.name, ok=False, detail="; ".join(error.problems), advice=check.advice)
    except HeadraceError as error:
        return Finding(check=check.name, ok=False, detail=str(error), advice=check.advice)
    except TimeoutError:
        return Finding(check=check.name, ok=False, detail=f"no answer in {CHECK_SECONDS:.0f} s", advice=check.advice)
    return Finding(check=check.name, ok=True, detail=detail)


def _file_checks(settings: Settings) -> list[Check]:
    async def mapping() -> str:
        load_mapping(settings.mapping)
        return settings.mapping

    async def geoip() -> str:
        Enricher(settings.geoip_db)
        return settings.geoip_db

    checks = []
    if settings.mapping:
        checks.append(Check(name="mapping", look=mapping, advice="correct the file, or unset HEADRACE_MAPPING"))
    if settings.geoip_db:
        checks.append(Check(name="geoip", look=geoip, advice="a MaxMind-format file, or unset HEADRACE_GEOIP_DB"))
    return checks


def _cloud_checks(settings: Settings, aws: AwsSession) -> list[Check]:
    async def credentials() -> str:
        if (found := await aws.credentials()) is None:
            raise AccessError("none found")
        return f"from {found.method}"

    async def stream() -> str:
        kinesis = await aws.client("kinesis")
        await describe(kinesis, settings.stream_name)
        shards = await list_shards(kinesis, settings.stream_name)
        return f"{settings.stream_url}, {len(shards)} shards"

    async def bucket() -> str:
        s3 = await aws.client("s3")
        with aws_errors():
            await s3.head_bucket(Bucket=settings.bucket)
        return f"s3://{settings.bucket}"

    async def queue() -> str:
        sqs = await aws.client("sqs")
        with aws_errors():
            found = await sqs.get_queue_url(QueueName=settings.partition_queue)
        return str(found["QueueUrl"])

    async def athena() -> str:
        client = AthenaClient(
            await aws.client("athena"),
            clock=SystemClock(),
            workgroup=settings.workgroup,
            output=settings.athena_output_url,
        )
        await client.check()
        return f"workgroup {settings.workgroup}"

    def table(name: str) -> Callable[[], Awaitable[str]]:
        async def look() -> str:
            dynamodb = await aws.client("dynamodb")
            with aws_errors():
                found = await dynamodb.describe_table(TableName=name)
            return f"{name}, {found['Table']['TableStatus']}"

        return look

    create = "`headrace up` makes it locally; on AWS the stack does"
    return [
        Check(name="credentials", look=credentials, advice="log in, or set AWS_PROFILE or AWS_ACCESS_KEY_ID"),
        Check(name="stream", look=stream, advice=f"{create}. Its name: HEADRACE_STREAM"),
        Check(name="bucket", look=bucket, advice=f"{create}. Its name: S3_BUCKET"),
        Check(name="leases", look=table(settings.control_table), advice=f"{create}. Its name: HEADRACE_CONTROL_TABLE"),
        Check(
            name="counters", look=table(settings.counters_table), advice=f"{create}. Its name: HEADRACE_COUNTERS_TABLE"
        ),
        Check(name="state", look=table(settings.state_table), advice=f"{create}. Its name: HEADRACE_STATE_TABLE"),
        Check(name="queue", look=queue, advice=f"{create}. Its name: HEADRACE_PARTITION_QUEUE"),
        Check(name="athena", look=athena, advice="is the workgroup there? Its name: HEADRACE_WORKGROUP"),
    ]


def _print(settings: Sequence[Setting], findings: Sequence[Finding], *, everything: bool) -> None:
    console = Console(highlight=False)
    for finding in findings:
        mark = "[green]✓[/green]" if finding.ok else "[red]✗[/red]"
        console.print(f"{mark} {finding.check:<12}", end="")
        console.print(finding.detail, markup=False, soft_wrap=True)
        if finding.advice:
            console.print(f"  {'':<12}→ {finding.advice}", style="yellow", markup=False, soft_wrap=True)
    table = Table(header_style="bold", box=None, padding=(0, 2, 0, 0))
    table.add_column("Setting", no_wrap=True)
    table.add_column("Value", overflow="fold")
    table.add_column("")
    for row in settings:
        if everything or row.source == "env":
            table.add_row(row.name, row.value, row.about, style="bold" if row.source == "env" else "dim")
    console.print()
    if table.row_count:
        console.print(table)
    if not everything:
        console.print(f"{len(settings) - table.row_count} settings have their defaults; --all shows them", style="dim")
