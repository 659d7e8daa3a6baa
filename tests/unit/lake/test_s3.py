"""What is made of answers to a completion, a copy and a deletion that no local S3 gives."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
import stamina
from aiohttp import web

from headrace.aws.session import AwsSession
from headrace.errors import (
    AccessError,
    HeadraceError,
    NotFoundError,
    RequestError,
    ThrottledError,
    UnavailableError,
)
from headrace.lake.ports import Completion, StagedObject
from headrace.lake.s3 import S3Store
from headrace.lake.s3_remover import S3Remover

STAGED = StagedObject(key="events/a", upload_id="u1", etags=("e1", "e2"), sha256="0" * 64, size=7)
DONE = (200, b"\n \n<CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag></CompleteMultipartUploadResult>")


COPIED = (200, b"<CopyObjectResult><ETag>&quot;e&quot;</ETag></CopyObjectResult>")


def error(code: str, status: int, before: bytes = b"") -> tuple[int, bytes]:
    return status, before + f"<Error><Code>{code}</Code><Message>why</Message></Error>".encode()


@dataclass
class Answers:
    """An S3 that always answers the same."""

    says: tuple[int, bytes] = DONE
    heard: list[tuple[str, str, bytes]] = field(default_factory=list)
    """Of each request: `If-None-Match`, `x-amz-mp-object-size` and the body."""

    async def handle(self, request: web.Request) -> web.Response:
        names = ("If-None-Match", "x-amz-mp-object-size")
        condition, size = [request.headers.get(name, "") for name in names]
        self.heard.append((condition, size, await request.read()))
        status, body = self.says
        return web.Response(status=status, body=body, content_type="application/xml")


@pytest.fixture
async def answers(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Answers]:
    answers = Answers()
    app = web.Application()
    app.router.add_route("*", "/{path:.*}", answers.handle)
    runner = web.AppRunner(app)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "local")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "local")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{runner.addresses[0][1]}")
    yield answers
    await runner.cleanup()


async def complete() -> Completion:
    async with AwsSession("us-east-1") as aws:
        return await S3Store(await aws.client("s3"), "bucket").complete(STAGED)


async def test_a_completion_names_its_parts_and_its_size_and_wants_the_key_free(answers: Answers) -> None:
    assert await complete() is Completion.DONE
    [(condition, size, body)] = answers.heard
    assert (condition, size) == ("*", "7")
    for part in (b"<PartNumber>1</PartNumber>", b"<ETag>e1</ETag>", b"<PartNumber>2</PartNumber>", b"<ETag>e2</ETag>"):
        assert part in body


@pytest.mark.parametrize(
    ("says", "means"),
    [
        (error("PreconditionFailed", 412), Completion.KEY_TAKEN),
        (error("PreconditionFailed", 200, b"\n \n"), Completion.KEY_TAKEN),
        (error("NoSuchUpload", 404), Completion.NO_UPLOAD),
        (error("ConditionalRequestConflict", 409), Completion.BUSY),
    ],
)
async def test_a_refusal_is_an_answer(answers: Answers, says: tuple[int, bytes], means: Completion) -> None:
    answers.says = says
    assert await complete() is means
    assert len(answers.heard) == 1


@pytest.mark.parametrize(
    ("says", "means"),
    [
        (error("InternalError", 200), UnavailableError),
        (error("InternalError", 200, b"\n   \n"), UnavailableError),
        ((200, b""), UnavailableError),
        ((200, b"\n \n \n"), UnavailableError),
        ((200, DONE[1][:40]), UnavailableError),
        ((200, b"<CompleteMultipartUploadResult/>"), UnavailableError),
        (error("InternalError", 500), UnavailableError),
        ((503, b""), UnavailableError),
        (error("OperationAborted", 409), UnavailableError),
        (error("SlowDown", 503), ThrottledError),
        (error("AccessDenied", 403), AccessError),
        (error("InvalidPart", 400), RequestError),
    ],
)
async def test_anything_else_is_a_failure_and_is_not_repeated(
    answers: Answers, says: tuple[int, bytes], means: type[HeadraceError]
) -> None:
    answers.says = says
    with pytest.raises(means):
        await complete()
    assert len(answers.heard) == 1


async def copy(attempts: int) -> None:
    with stamina.set_testing(True, attempts=attempts):
        async with AwsSession("us-east-1") as aws:
            await S3Store(await aws.client("s3"), "bucket").copy("a b", "b")


async def test_a_copy_is_one_request(answers: Answers) -> None:
    answers.says = COPIED
    await copy(2)
    assert len(answers.heard) == 1


@pytest.mark.parametrize(
    ("says", "means", "requests"),
    [
        (error("InternalError", 200), UnavailableError, 2),
        (error("InternalError", 200, b"\n   \n"), UnavailableError, 2),
        (error("SlowDown", 200), ThrottledError, 2),
        ((200, b""), UnavailableError, 2),
        ((200, b"\n \n \n"), UnavailableError, 2),
        ((200, COPIED[1][:30]), UnavailableError, 2),
        ((200, b"<CopyObjectResult/>"), UnavailableError, 2),
        (error("InternalError", 500), UnavailableError, 2),
        (error("NoSuchKey", 404), NotFoundError, 1),
        (error("NoSuchKey", 200), NotFoundError, 1),
        (error("AccessDenied", 403), AccessError, 1),
    ],
)
async def test_a_copy_that_failed_is_told_and_repeated_where_that_may_help(
    answers: Answers, says: tuple[int, bytes], means: type[HeadraceError], requests: int
) -> None:
    answers.says = says
    with pytest.raises(means):
        await copy(2)
    assert len(answers.heard) == requests


async def test_a_source_that_is_too_large_for_a_copy_is_told_by_its_key(answers: Answers) -> None:
    why = "The specified copy source is larger than the maximum allowable size for a copy source: 5368709120"
    answers.says = (400, f"<Error><Code>InvalidRequest</Code><Message>{why}</Message></Error>".encode())
    with pytest.raises(RequestError, match=rf"a b cannot be copied to b: .*{why}"):
        await copy(2)


def deleted(*keys: str, failed: str = "") -> tuple[int, bytes]:
    good = "".join(f"<Deleted><Key>{key}</Key></Deleted>" for key in keys)
    bad = f"<Error><Key>c</Key><Code>{failed}</Code><Message>why</Message></Error>" if failed else ""
    return 200, f"<DeleteResult>{good}{bad}</DeleteResult>".encode()


async def delete(*keys: str, attempts: int = 2) -> None:
    with stamina.set_testing(True, attempts=attempts):
        async with AwsSession("us-east-1") as aws:
            await S3Remover(await aws.client("s3"), "bucket").delete(keys)


async def test_a_thousand_keys_are_deleted_in_a_request_and_none_in_none(answers: Answers) -> None:
    keys = [str(n) for n in range(1000)]
    answers.says = deleted(*keys)
    await delete(*keys, *keys)
    assert [body.count(b"<Key>") for *_, body in answers.heard] == [1000, 1000]
    await delete()
    assert len(answers.heard) == 2


@pytest.mark.parametrize(
    ("says", "means", "requests"),
    [
        (deleted("a", "b", failed="InternalError"), UnavailableError, 2),
        (deleted("a", "b", failed="SlowDown"), ThrottledError, 2),
        (deleted("a", "b", failed="AccessDenied"), AccessError, 1),
        (deleted("a", "b", failed="MalformedThing"), RequestError, 1),
        (deleted("a", "b"), UnavailableError, 2),
        (deleted(), UnavailableError, 2),
        ((200, b""), UnavailableError, 2),
        ((200, deleted("a", "b", "c")[1][:-1]), UnavailableError, 2),
        (error("InternalError", 200), UnavailableError, 2),
        (error("AccessDenied", 403), AccessError, 1),
    ],
)
async def test_a_deletion_that_failed_in_part_is_told_and_repeated_where_that_may_help(
    answers: Answers, says: tuple[int, bytes], means: type[HeadraceError], requests: int
) -> None:
    answers.says = says
    with pytest.raises(means):
        await delete("a", "b", "c")
    assert len(answers.heard) == requests
