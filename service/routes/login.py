"""The form for a browser: a token for a session's cookie."""

from __future__ import annotations

from fastapi import APIRouter, Request
from fastapi.responses import HTMLResponse, RedirectResponse, Response
from starlette.concurrency import run_in_threadpool

from search_spaces.problems import Forbidden, TooLarge, Unauthorized

from .. import deps
from ..keyring import found
from ..pages.rendering import page
from ..sessions import COOKIE, LARGEST_FORM_BYTES, form_of, log_in, log_out, values_of_page

router = APIRouter(tags=["pages"], include_in_schema=False)


@router.get("/login", response_class=HTMLResponse)
def show_form(request: Request, keyring: deps.KeyringOf) -> Response:
    """Show the form; a service without tokens needs none."""
    keys = keyring.current()
    place = request.query_params.get("next", "/")
    if not keys.guarded:
        return RedirectResponse("/", status_code=303)
    logged_in = found(keys, request.cookies.get(COOKIE, ""), session=True) is not None
    return page("login.html", **values_of_page(place, None, logged_in=logged_in))


@router.post("/login", response_class=HTMLResponse)
async def begin(request: Request, keyring: deps.KeyringOf, settings: deps.SettingsOf) -> Response:
    """Begin a session and go on to where the person came from."""
    body = await request.body()
    if len(body) > LARGEST_FORM_BYTES:
        raise TooLarge(f"this form may have {LARGEST_FORM_BYTES} bytes")
    form = form_of(body)
    secure = request.url.scheme == "https"
    try:
        cookie = await run_in_threadpool(log_in, keyring, form, settings.session_seconds, secure=secure)
    except (Unauthorized, Forbidden) as problem:
        return page("login.html", status=problem.status, **values_of_page(form.place, problem.detail, logged_in=False))
    return RedirectResponse(form.place, status_code=303, headers={"Set-Cookie": cookie})


@router.post("/logout")
def end(request: Request, keyring: deps.KeyringOf) -> Response:
    """End the session and forget its cookie."""
    cookie = log_out(keyring, request.cookies.get(COOKIE), secure=request.url.scheme == "https")
    return RedirectResponse("/login", status_code=303, headers={"Set-Cookie": cookie})
