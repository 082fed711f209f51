"""The page at ``/``: files of the package, held in memory, and nothing that they could load."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from importlib import resources

from fastapi import FastAPI, Response

FOLDER = "page"
START = "index.html"
TYPES = {
    ".html": "text/html; charset=utf-8",
    ".css": "text/css; charset=utf-8",
    ".js": "text/javascript; charset=utf-8",
    ".svg": "image/svg+xml",
}
HEADERS = {
    "Content-Security-Policy": (
        "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
        "require-trusted-types-for 'script'"
    ),
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def is_static(path: str) -> bool:
    """Whether a path is of the page, which says nothing of the domain and needs no key."""
    return path == "/" or path.startswith(f"/{FOLDER}/")


def read_page() -> dict[str, Response]:
    """The page's files as answers, by path."""
    found = {}
    for file in resources.files("mtrec.service").joinpath(FOLDER).iterdir():
        kind = TYPES.get("." + file.name.rpartition(".")[2])
        if kind:
            path = "/" if file.name == START else f"/{FOLDER}/{file.name}"
            found[path] = Response(file.read_bytes(), headers=HEADERS, media_type=kind)
    return found


def add_page(app: FastAPI) -> None:
    """Let an application answer with the page."""
    for path, answer in read_page().items():
        give = _giver(answer)
        app.add_api_route(path, give, methods=["GET", "HEAD"], include_in_schema=False)


def _giver(answer: Response) -> Callable[[], Awaitable[Response]]:
    async def give() -> Response:
        return answer

    return give
