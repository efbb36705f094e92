"""The page's server: it hands out cases and keeps decisions, and knows no source of any option.

It answers only requests for its own address (a page elsewhere cannot reach it through a name that
points here), with the token where one is set, and serves the page's own files, the images of the
cases and the example images of classes, each by its position in the cases file: no request names a
path. What it says of a case is its opaque id, its size and its options: no image id, no file name.
"""

import asyncio
import hmac
import ipaddress
import json
from datetime import UTC, datetime
from http.cookies import CookieError, SimpleCookie
from itertools import islice
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

from fastapi import Body, FastAPI, HTTPException, Response
from fastapi.responses import JSONResponse

from labelwise import images
from labelwise.annotation.cases import Case, Cases
from labelwise.annotation.decisions import Decision
from labelwise.annotation.store import Store
from labelwise.annotation.work import Work, admitted
from labelwise.data import media
from labelwise.errors import LabelwiseError

PAGE = Path(__file__).parent / "page"
SCRIPTS = ("page.js", "dom.js", "markdown.js", "rank.js", "talk.js")
FILES = dict.fromkeys(SCRIPTS, "text/javascript; charset=utf-8")
FILES |= {"page.css": "text/css; charset=utf-8"}
"""What the page may ask for by name, and its media type."""

COOKIE = "labelwise"
HEADERS = {
    "content-security-policy": "default-src 'none'; script-src 'self'; style-src 'self';"
    " img-src 'self' data:; connect-src 'self'; base-uri 'none'; form-action 'self';"
    " frame-ancestors 'none'",
    "x-content-type-options": "nosniff",
    "referrer-policy": "no-referrer",
    "cross-origin-resource-policy": "same-origin",
}
SHOWN = ("image/jpeg", "image/png", "image/gif", "image/webp", "image/bmp")
"""Media types that are handed out as they are; others become PNG."""

BODY = 256_000
"""Most bytes of a request."""


def loopback(host: str) -> bool:
    """Whether an address can be reached from this machine alone."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


class Guard:
    """ASGI: refuse foreign hosts, foreign pages and requests without the token; add headers.

    A first visit with ``?token=...`` leaves a cookie that the page cannot read, and a clean
    address. Programs may send ``Authorization: Bearer`` instead.
    """

    def __init__(self, app: Any, host: str, token: str | None) -> None:
        self.app, self.token = app, token
        self.local = loopback(host)

    async def __call__(self, scope: dict, receive: Any, send: Any) -> None:
        """Pass a request on, or answer it here."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = {k.decode("latin-1"): v.decode("latin-1") for k, v in scope["headers"]}

        async def answer(message: dict) -> None:
            if message["type"] == "http.response.start":
                more = [(k.encode(), v.encode()) for k, v in HEADERS.items()]
                message = {**message, "headers": [*message.get("headers", ()), *more]}
            await send(message)

        given = parse_qs(scope["query_string"].decode("latin-1")).get("token", [""])[0]
        if refused := self._refused(scope, headers):
            response: Response = JSONResponse({"error": refused[1]}, refused[0])
        elif self.token and given and scope["path"] == "/" and self._same(given):
            response = Response(status_code=303, headers={"location": "/"})
            response.set_cookie(COOKIE, self.token, httponly=True, samesite="strict")
        elif self.token and not self._same(self._sent(headers)):
            response = Response(
                "This annotation needs its token: open the address that ends in /?token=...",
                401,
                media_type="text/plain",
            )
        else:
            await self.app(scope, receive, answer)
            return
        await response(scope, receive, answer)

    def _refused(self, scope: dict, headers: dict[str, str]) -> tuple[int, str] | None:
        name = headers.get("host", "").rsplit(":", 1)[0].strip("[]")
        if self.local and not loopback(name):
            return 421, "this server answers to its own address only"
        if scope["method"] == "POST":
            if headers.get("sec-fetch-site", "same-origin") not in ("same-origin", "none"):
                return 403, "requests from other pages are refused"
            if headers.get("content-type", "").split(";")[0] != "application/json":
                return 415, "send application/json"
            if not headers.get("content-length", "").isdigit():
                return 411, "send a content-length"
            if int(headers["content-length"]) > BODY:
                return 413, f"more than {BODY} bytes"
        return None

    def _sent(self, headers: dict[str, str]) -> str:
        bearer = headers.get("authorization", "")
        if bearer.startswith("Bearer "):
            return bearer.removeprefix("Bearer ")
        try:
            cookie = SimpleCookie(headers.get("cookie", "")).get(COOKIE)
        except CookieError:
            return ""
        return cookie.value if cookie else ""

    def _same(self, given: str) -> bool:
        return hmac.compare_digest(given.encode(), (self.token or "").encode())


def now() -> str:
    """The time in UTC, to the second."""
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def create(
    cases: Cases, store: Store, work: Work, host: str = "127.0.0.1", token: str | None = None
) -> Guard:
    """The application.

    Args:
        cases: what is asked.
        store: where decisions are kept.
        work: annotating or adjudicating.
        host: the address it is served on; on a loopback address no other name is answered.
        token: what visitors must bring; None asks nothing.

    What a visitor does wrong is a ``LabelwiseError``, which the page shows (HTTP 422).
    """
    app = FastAPI(title="Labelwise annotation", docs_url=None, redoc_url=None, openapi_url=None)
    n_classes = len(cases.classes)
    setup = {
        "annotation": cases.name,
        "role": work.role,
        "annotators": list(cases.annotators) if work.role == "annotator" else [],
        "guidelines": cases.guidelines,
        "classes": [[c.name, c.synonyms, c.definition, len(c.examples)] for c in cases.classes],
    }
    setup_bytes = json.dumps(setup, ensure_ascii=False, separators=(",", ":")).encode()

    @app.exception_handler(LabelwiseError)
    def refuse(_request: Any, error: LabelwiseError) -> JSONResponse:
        return JSONResponse({"error": str(error)}, 422)

    def file(name: str, kind: str) -> Response:
        headers = {"cache-control": "no-cache"}
        return Response((PAGE / name).read_bytes(), media_type=kind, headers=headers)

    @app.get("/")
    async def page() -> Response:
        return file("index.html", "text/html; charset=utf-8")

    @app.get("/page/{name}")
    async def asset(name: str) -> Response:
        if name not in FILES:
            raise HTTPException(404)
        return file(name, FILES[name])

    @app.get("/api/setup")
    async def get_setup() -> Response:
        return Response(setup_bytes, media_type="application/json")

    def state(name: str, at: int | None = None) -> dict[str, Any]:
        """A case for an annotator, the first open one unless ``at`` says which, and progress."""
        order = work.order(name)
        decided = store.decided(name, work.role).intersection(order)
        waiting = list(islice((i for i, case in enumerate(order) if case not in decided), 3))
        if at is not None and not 0 <= at < len(order):
            raise LabelwiseError(f"case {at + 1} is not among 1..{len(order)}")
        index = at if at is not None else (waiting[0] if waiting else None)
        return {
            "done": len(decided),
            "total": len(order),
            "pace": store.pace(name, work.role),
            "case": None if index is None else shown(cases.by_id[order[index]], name, index),
            "upcoming": [order[i] for i in waiting if i != index][:2],
        }

    def shown(case: Case, name: str, index: int) -> dict[str, Any]:
        own = store.of(name, work.role, case.case)
        return {
            "id": case.case,
            "at": index,
            "width": case.width,
            "height": case.height,
            "options": work.options(case, name),
            "notes": work.notes(case),
            "decision": draft(own) if own else None,
        }

    def draft(decision: Decision) -> dict[str, Any]:
        keys = ("marks", "boxes", "comment", "seconds")
        return {key: value for key, value in decision.as_dict().items() if key in keys}

    @app.get("/api/work")
    async def get_work(annotator: str, at: int | None = None) -> dict[str, Any]:
        return state(admitted(cases, annotator, work.role), at)

    @app.post("/api/decide")
    async def decide(body: dict[str, Any] = Body()) -> dict[str, Any]:  # noqa: B008
        name = admitted(cases, body.get("annotator"), work.role)
        case = cases.by_id.get(str(body.get("case")))
        if case is None or case.case not in work.order(name):
            raise LabelwiseError("this case is not yours; reload the page")
        given = {
            **body,
            "image": case.image,
            "role": work.role,
            "at": now(),
        }
        kept = store.decide(Decision.of(given, "decision", n_classes), _send(body))
        await asyncio.wrap_future(kept)
        return state(name)

    @app.post("/api/undo")
    async def undo(body: dict[str, Any] = Body()) -> dict[str, Any]:  # noqa: B008
        name = admitted(cases, body.get("annotator"), work.role)
        send, order = _send(body), work.order(name)
        last = store.withdrawn(send) or store.last(name, work.role)
        if last is None or last.case not in order:
            return state(name)
        await asyncio.wrap_future(store.withdraw(last, send))
        again = state(name, order.index(last.case))
        again["case"]["decision"] = draft(last)
        return again

    @app.get("/image/{case}")
    def image(case: str) -> Response:
        if case not in cases.by_id:
            raise HTTPException(404)
        return picture(cases.by_id[case].file)

    @app.get("/example/{number}/{index}")
    def example(number: int, index: int) -> Response:
        if not 0 <= number < n_classes or not 0 <= index < len(cases.classes[number].examples):
            raise HTTPException(404)
        return picture(cases.classes[number].examples[index])

    return Guard(app, host, token)


def _send(body: dict[str, Any]) -> str:
    send = body.get("send")
    if not isinstance(send, str) or not 8 <= len(send) <= 64:
        raise LabelwiseError("send: an id of the sending, 8 to 64 characters, new for each")
    return send


def picture(file: str) -> Response:
    """The bytes of an image as they are; what not every browser knows becomes a PNG."""
    data = images.data(file)
    kind = media.kind(data)
    if kind not in SHOWN:
        import io

        buffer = io.BytesIO()
        images.decode(data, file).save(buffer, "PNG")
        data, kind = buffer.getvalue(), "image/png"
    return Response(data, media_type=kind, headers={"cache-control": "private, max-age=3600"})
