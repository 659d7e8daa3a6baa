"""What the S3 store makes of the answers to a completion that no local S3 gives."""

from collections.abc import AsyncIterator
from dataclasses import dataclass, field

import pytest
from aiohttp import web

from headrace.aws.session import AwsSession
from headrace.errors import AccessError, HeadraceError, RequestError, ThrottledError, UnavailableError
from headrace.lake.ports import Completion, StagedObject
from headrace.lake.s3 import S3Store

STAGED = StagedObject(key="events/a", upload_id="u1", etags=("e1", "e2"), sha256="0" * 64, size=7)
DONE = (200, b"\n \n<CompleteMultipartUploadResult><ETag>&quot;e-2&quot;</ETag></CompleteMultipartUploadResult>")


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
    app.router.add_post("/{path:.*}", answers.handle)
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
