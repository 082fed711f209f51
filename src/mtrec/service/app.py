"""The service's pages: what they take, what they answer, and with which status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any, TypeVar

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

import mtrec
from mtrec.service.keys import is_allowed
from mtrec.service.live import Conflict, Live
from mtrec.service.log import NotStored
from mtrec.service.schemas import MOST_BYTES, Events, Explain, Recommend, Score, as_json, sentence

OPEN = ("/health",)  # pages that need no key
Asked = TypeVar("Asked", bound=BaseModel)
JSON = "application/json"


class Refused(Exception):
    """A request that is not answered.

    Attributes:
        status: of the answer.
        said: one sentence.
    """

    def __init__(self, status: int, said: str):
        super().__init__(said)
        self.status, self.said = status, said


def make_app(live: Live, key: str | None = None, every: float = 2.0) -> FastAPI:
    """The service as an ASGI application.

    Args:
        live: what answers.
        key: that requests must bring, if any.
        every: seconds between two looks for a newer model.
    """

    @asynccontextmanager
    async def life(_: FastAPI) -> AsyncIterator[None]:
        await live.start(every)
        yield
        await live.stop()

    app = FastAPI(
        title="mtrec", version=mtrec.__version__, lifespan=life,
        description="A trained multi-task recommender that learns what happens while it answers.",
    )  # fmt: skip
    _add_guard(app, live, key)

    @app.post("/recommend", openapi_extra=_body(Recommend), summary="The best items for a user")
    async def recommend(request: Request) -> Response:
        asked, answers = await _read(request, Recommend), live.bundle.answers
        row = answers.row_to_rank(asked)
        ranked = None if row is None else await answers.ranks(row)
        answer = _of(lambda asked: answers.recommend(asked, ranked), asked)
        used = answer["fallback"]["used"] if answer["fallback"] else "none"
        live.metrics.fallbacks.labels(used).inc()
        return Response(as_json(answer), media_type=JSON)

    @app.post("/score", openapi_extra=_body(Score), summary="What all tasks say of pairs")
    async def score(request: Request) -> Response:
        return Response(
            as_json(_of(live.bundle.answers.score, await _read(request, Score))), media_type=JSON
        )

    @app.post("/explain", openapi_extra=_body(Explain), summary="Why tasks say what they say")
    async def explain(request: Request) -> Response:
        asked, reasons = await _read(request, Explain), live.bundle.answers.reasons
        moment = _of(reasons.read, asked)
        return Response(as_json(await asyncio.to_thread(reasons.explain, moment)), media_type=JSON)

    @app.post("/events", openapi_extra=_body(Events), summary="What just happened")
    async def events(request: Request) -> Response:
        asked = await _read(request, Events)
        try:
            found = await live.accept(asked.events)
        except Conflict as error:
            raise Refused(409, str(error)) from None
        except ValueError as error:
            raise Refused(422, str(error)) from None
        except NotStored as error:
            raise Refused(507 if error.full else 503, str(error)) from None
        return Response(
            as_json({"model": live.bundle.answers.version, **vars(found)}), media_type=JSON
        )

    @app.get("/health", summary="Whether the service answers, and takes events")
    async def health() -> dict[str, Any]:
        return {
            "status": "ok",
            "model": live.bundle.answers.version,
            "events": live.log.refused or "ok",
            "next_model": live.trouble or "ok",
            "seconds": round(time.time() - live.since, 1),
        }

    @app.get("/model", summary="Which model answers, and how good it was")
    async def model() -> dict[str, Any]:
        state = live.bundle.state
        return {
            **live.bundle.about,
            "users": len(state.users) - 1,
            "items": len(state.items) - 1,
            "as_of": state.now,
        }

    @app.get("/metrics", summary="Counters, for Prometheus")
    async def metrics() -> Response:
        return Response(live.metrics.text(), media_type="text/plain; version=0.0.4")

    return app


def _add_guard(app: FastAPI, live: Live, key: str | None) -> None:
    """Keys, errors as one sentence, and counting, around all pages."""
    paths = {"/recommend", "/score", "/explain", "/events", "/health", "/model", "/metrics"}

    class Guard:
        """As a class of ASGI, which costs a request less than one of Starlette."""

        def __init__(self, inner: Callable[..., Awaitable[None]]):
            self._inner = inner

        async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
            """Answer one request."""
            if scope["type"] != "http":
                await self._inner(scope, receive, send)
                return
            began, status = time.perf_counter(), 500

            async def sent(message: Any) -> None:
                nonlocal status
                if message["type"] == "http.response.start":
                    status = message["status"]
                await send(message)

            headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}
            if scope["path"] not in OPEN and not is_allowed(key, headers):
                said = "This service needs its key: send it as X-API-Key."
                await _error(401, said)(scope, receive, sent)
            else:
                await self._inner(scope, receive, sent)
            path = scope["path"] if scope["path"] in paths else "other"
            live.metrics.requests.labels(path, str(status)).inc()
            live.metrics.seconds.labels(path).observe(time.perf_counter() - began)

    app.add_middleware(Guard)

    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return _error(error.status, error.said)

    @app.exception_handler(HTTPException)
    async def other(_: Request, error: HTTPException) -> Response:
        said = {404: "There is no such page; /docs lists them.",
                405: "This page takes another method; /docs says which."}  # fmt: skip
        return _error(error.status_code, said.get(error.status_code, str(error.detail)))


async def _read(request: Request, kind: type[Asked]) -> Asked:
    """The body of a request, checked.

    Raises:
        Refused: it is too long, or not what the page takes.
    """
    body = bytearray()
    async for part in request.stream():
        body += part
        if len(body) > MOST_BYTES:
            raise Refused(413, f"The body has more than {MOST_BYTES >> 20} MB; send less at once.")
    try:
        return kind.model_validate_json(bytes(body))
    except ValidationError as error:
        status = 400 if error.errors()[0]["type"] == "json_invalid" else 422
        raise Refused(status, sentence(error)) from None


def _of(answer: Callable[[Asked], dict[str, Any]], asked: Asked) -> dict[str, Any]:
    """What is answered.

    Raises:
        Refused: the request names what there is not.
    """
    try:
        return answer(asked)
    except ValueError as error:
        raise Refused(422, f"{error}.") from None


def _error(status: int, said: str) -> Response:
    return Response(as_json({"error": said}), status, media_type=JSON)


def _body(kind: type[BaseModel]) -> dict[str, Any]:
    """The schema of a body, and examples, for the OpenAPI page."""
    found = kind.model_json_schema()
    examples = found.pop("examples", [])
    listed = {f"{n + 1}": {"value": example} for n, example in enumerate(examples)}
    content = {JSON: {"schema": _flat(found), "examples": listed}}
    return {"requestBody": {"required": True, "content": content}}


def _flat(found: dict[str, Any]) -> dict[str, Any]:
    """A schema without references, which would be looked for elsewhere in the page."""
    parts = found.pop("$defs", {})

    def put(one: Any) -> Any:
        if isinstance(one, dict):
            if "$ref" in one:
                return put(parts[one["$ref"].rsplit("/", 1)[1]])
            return {name: put(value) for name, value in one.items()}
        return [put(value) for value in one] if isinstance(one, list) else one

    return put(found)
