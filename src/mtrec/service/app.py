"""The service's pages: what they take, what they answer, and with which status."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any, TypeVar

from fastapi import FastAPI, Request, Response
from pydantic import BaseModel, ValidationError
from starlette.exceptions import HTTPException

import mtrec
from mtrec.service import browse
from mtrec.service.keys import is_allowed
from mtrec.service.live import Conflict, Live
from mtrec.service.log import NotStored
from mtrec.service.schemas import MOST_BYTES, Events, Explain, Recommend, Score, as_json, sentence
from mtrec.service.static import add_page, is_static

if TYPE_CHECKING:
    from mtrec.service.bundle import Bundle

OPEN = ("/health",)  # pages that need no key, beside the files of the page for people
ELSEWHERE = ("cross-site", "same-site")  # what browsers say of a page that is not of this service
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


def make_app(
    live: Live, key: str | None = None, every: float = 2.0, hosts: Collection[str] = ()
) -> FastAPI:
    """The service as an ASGI application.

    Args:
        live: what answers.
        key: that requests must bring, if any.
        every: seconds between two looks for a newer model.
        hosts: names that requests may call this machine by; any if empty. A page of another site
            could otherwise give its own name to this address, and read what is answered.
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
    _add_guard(app, live, key, hosts)

    @app.post("/recommend", openapi_extra=_body(Recommend), summary="The best items for a user")
    async def recommend(request: Request) -> Response:
        answer = _of(live.bundle.answers.lists.recommend, await _read(request, Recommend))
        used = answer["fallback"]["used"] if answer["fallback"] else "none"
        live.metrics.fallbacks.labels(used).inc()
        return Response(as_json(answer), media_type=JSON)

    @app.post("/score", openapi_extra=_body(Score), summary="What all tasks say of pairs")
    async def score(request: Request) -> Response:
        asked, answers = await _read(request, Score), live.bundle.answers
        try:
            read = await live.read(answers.texts_of(asked))
            return Response(as_json(answers.score(asked, read)), media_type=JSON)
        except ValueError as error:
            raise Refused(422, f"{error}.") from None

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
            "metrics": live.bundle.metrics,
            "systems": live.bundle.answers.members.systems,
            "trouble": live.bundle.answers.members.said,
            "users": len(state.users) - 1,
            "items": len(state.items) - 1,
            "as_of": state.now,
        }

    @app.get("/users", openapi_extra=_asks(browse.Users), summary="Users whose id begins so")
    async def users(request: Request) -> Response:
        return _found(live, browse.users, _query(request, browse.Users))

    @app.get("/items", openapi_extra=_asks(browse.Items), summary="Items by id or title")
    async def items(request: Request) -> Response:
        return _found(live, browse.items, _query(request, browse.Items))

    @app.get("/history", openapi_extra=_asks(browse.History), summary="What a user did last")
    async def history(request: Request) -> Response:
        return _found(live, browse.history, _query(request, browse.History))

    @app.post("/predict", openapi_extra=_body(browse.Predict), summary="How sure each task is")
    async def predict(request: Request) -> Response:
        asked, bundle = await _read(request, browse.Predict), live.bundle
        try:
            read = await live.read(browse.texts(bundle, asked))
            return Response(as_json(browse.predict(bundle, asked, read)), media_type=JSON)
        except ValueError as error:
            raise Refused(422, f"{error}.") from None

    @app.get("/metrics", summary="Counters, for Prometheus")
    async def metrics() -> Response:
        return Response(live.metrics.text(), media_type="text/plain; version=0.0.4")

    add_page(app)
    return app


def _add_guard(app: FastAPI, live: Live, key: str | None, hosts: Collection[str]) -> None:
    """Keys, errors as one sentence, and counting, around all pages."""
    paths = {"/recommend", "/score", "/events", "/health", "/model", "/metrics"}
    paths |= {"/explain", "/users", "/items", "/history", "/predict"}

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
            open_to_all = scope["path"] in OPEN or is_static(scope["path"])
            if hosts and _name(headers.get("host", "")) not in hosts:
                said = f"This service is asked as one of {', '.join(sorted(hosts))}."
                await _error(421, said)(scope, receive, sent)
            elif not open_to_all and headers.get("sec-fetch-site") in ELSEWHERE:
                said = "A page of another site may not ask for its visitor; ask from a program."
                await _error(403, said)(scope, receive, sent)
            elif not open_to_all and not is_allowed(key, headers):
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


def _name(host: str) -> str:
    """The name in a ``Host`` header, without port and brackets."""
    name = host.rsplit(":", 1)[0] if not host.endswith("]") else host
    return name.strip("[]").lower()


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


def _query(request: Request, kind: type[Asked]) -> Asked:
    """What an address asks, checked.

    Raises:
        Refused: it asks for something twice, or is not what the page takes.
    """
    pairs = request.query_params.multi_items()
    if len({name for name, _ in pairs}) < len(pairs):
        raise Refused(422, "The address names something twice; name it once.")
    try:
        return kind.model_validate(dict(pairs))
    except ValidationError as error:
        raise Refused(422, sentence(error)) from None


def _found(live: Live, answer: Callable[[Bundle, Asked], dict[str, Any]], asked: Asked) -> Response:
    """An answer to what a page asks, of the model that answers now."""
    return Response(as_json(answer(live.bundle, asked)), media_type=JSON)


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


def _asks(kind: type[BaseModel]) -> dict[str, Any]:
    """The schema of an address, for the OpenAPI page."""
    found = kind.model_json_schema()
    needed = found.get("required", [])
    return {
        "parameters": [
            {"name": name, "in": "query", "schema": one, "required": name in needed}
            for name, one in found["properties"].items()
        ]
    }


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
