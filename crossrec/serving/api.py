"""The service on the web: routes, their OpenAPI schema, and what a browser may do with them."""

import base64
import hashlib
import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files
from typing import Annotated, Any

from anyio.to_thread import current_default_thread_limiter
from fastapi import FastAPI, Query, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import HTMLResponse, JSONResponse
from fastapi.routing import APIRoute
from starlette.exceptions import HTTPException
from starlette.middleware.trustedhost import TrustedHostMiddleware

import crossrec
from crossrec.serving import schema
from crossrec.serving.problems import Problem
from crossrec.serving.service import Service

COMPLAINTS: dict[int | str, dict[str, Any]] = {
    404: {"description": "There is no such user, item or domain."},
    409: {"description": "The model of this run cannot do it."},
    422: {"description": "A field is missing, unknown or out of bounds."},
    507: {"description": "The service holds as much as it may."},
}
for complaint in COMPLAINTS.values():
    complaint["model"] = schema.Complaint
# Said before anybody knows what was asked: as plain text.
COMPLAINTS[413] = {"description": "The body is too long.", "content": {"text/plain": {}}}
COMPLAINTS[400] = {
    "description": "The body cannot be decoded, or another host is meant (in plain text).",
    "model": schema.Complaint,
    "content": {"text/plain": {}},
}
THREADS = 4  # requests at once: each is one product on one core


def build(service: Service, hosts: list[str]) -> FastAPI:
    """The application.

    Args:
        service: what answers.
        hosts: names under which it may be asked for, so that no page on the web can reach a
            service on loopback by giving its own name that address; ["*"] for all.
    """
    app = FastAPI(
        title="crossrec",
        version=crossrec.__version__,
        description="Recommendations of one run in two domains.",
        docs_url=None,  # their pages load scripts from elsewhere
        redoc_url=None,
        max_body_size=schema.MOST_BODY,
        responses=COMPLAINTS,
        lifespan=_few_threads,
    )
    app.add_middleware(TrustedHostMiddleware, allowed_hosts=hosts)
    page, policy = _page()

    @app.get("/", include_in_schema=False)
    async def show() -> HTMLResponse:
        return HTMLResponse(
            page, headers={"Content-Security-Policy": policy, "X-Content-Type-Options": "nosniff"}
        )

    _complain(app)
    _ask(app, service)
    _tell(app, service)
    return app


@asynccontextmanager
async def _few_threads(app: FastAPI) -> AsyncIterator[None]:
    """More threads than cores only wait for each other: forty is the default."""
    current_default_thread_limiter().total_tokens = THREADS
    yield


def _ask(app: FastAPI, service: Service) -> None:
    @app.get("/about")
    def about() -> schema.About:
        """What is served."""
        return schema.About(**service.about())

    @app.get("/recommendations")
    def for_user(asked: Annotated[schema.AskedByUser, Query()]) -> schema.Recommendations:
        """The best items that a user does not have yet."""
        return recommend(schema.Asked(**asked.model_dump()))

    @app.post("/recommendations")
    def recommend(asked: schema.Asked) -> schema.Recommendations:
        """The same for somebody who did what `history` says; nothing of it is kept."""
        lists = service.recommend(
            asked.user,
            [(did.domain, did.item) for did in asked.history],
            asked.domain,
            asked.n,
            asked.reasons,
            asked.hot,
            asked.seconds,
        )
        return schema.Recommendations.model_validate(
            {"user": asked.user, "domain": asked.domain, "lists": lists}
        )

    @app.get("/history")
    def history(asked: Annotated[schema.User, Query()]) -> schema.History:
        """What is known of a user."""
        return schema.History.model_validate(
            {"user": asked.user, "history": service.history(asked.user)}
        )

    @app.get("/items")
    def items(asked: Annotated[schema.Searched, Query()]) -> schema.Items:
        """Items whose title or id has all of some words, popular ones first."""
        return schema.Items.model_validate(
            {"items": service.search(asked.domain, asked.search, asked.limit)}
        )

    @app.get("/users")
    def users(asked: Annotated[schema.UsersSearched, Query()]) -> schema.Users:
        """Users whose id has some text."""
        return schema.Users(users=service.search_users(asked.search, asked.limit))


def _tell(app: FastAPI, service: Service) -> None:
    @app.post("/events", status_code=201)
    def event(told: schema.NewEvent) -> schema.Told:
        """A user did something with an item: their next answer knows it."""
        return schema.Told(new_events=service.tell(told.user, told.domain, told.item))

    @app.post("/items", status_code=201)
    def add(new: schema.NewItems) -> schema.Added:
        """Items that nobody had yet, by their texts: the next answer may hold them."""
        service.add_items(new.domain, [item.columns() for item in new.items])
        return schema.Added(items=[item.item for item in new.items])


def _complain(app: FastAPI) -> None:
    def answer(status: int, text: str, headers: Any = None) -> JSONResponse:
        return JSONResponse({"error": text}, status, headers)

    @app.exception_handler(Problem)
    async def problem(request: Request, error: Problem) -> JSONResponse:
        return answer(error.status, str(error))

    @app.exception_handler(RequestValidationError)
    async def invalid(request: Request, error: RequestValidationError) -> JSONResponse:
        said = [
            f"{'.'.join(map(str, fault['loc'][1:])) or 'the body'}: {fault['msg']}"
            for fault in error.errors()[:5]
        ]
        # What was sent is not sent back: it may be text that no answer can hold.
        return answer(422, "; ".join(said).encode("utf-8", "replace").decode())

    @app.exception_handler(HTTPException)
    async def refused(request: Request, error: HTTPException) -> JSONResponse:
        headers = dict(error.headers or {})
        if error.status_code == 405:  # of several routes of a path, the first alone was asked
            same = [r for r in app.routes if isinstance(r, APIRoute) and r.path == request.url.path]
            known = {name for route in same for name in route.methods or ()}
            headers["Allow"] = ", ".join(sorted(known))
        return answer(error.status_code, str(error.detail), headers)


def _page() -> tuple[str, str]:
    """The page, and what a browser may do for it: run its one script and ask this service."""
    page = (files("crossrec.serving") / "page.html").read_text(encoding="utf-8")
    scripts = re.findall(r"<script>(.*?)</script>", page, re.DOTALL)
    digests = [
        base64.b64encode(hashlib.sha256(script.encode()).digest()).decode() for script in scripts
    ]
    allowed = " ".join(f"'sha256-{digest}'" for digest in digests)
    policy = (
        f"default-src 'none'; script-src {allowed}; style-src 'unsafe-inline'; img-src data:; "
        "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    return page, policy
