"""Mounts the pages onto the web app.

`api/` builds the FastAPI app with its own routes, this adds the paths of the pages and Dash's own to it. The pages have
no lifecycle of their own: they live as long as the app is served.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Final

import fastapi
from dash import Dash
from starlette.routing import WebSocketRoute

from dash_app.pages import Sources, pages_of
from dash_app.push.connection import MayConnect
from dash_app.push.route import PATH, PushRoute, everybody
from dash_app.settings import DashSettings
from dash_app.shared.alert_news import AlertNews
from dash_app.shell import callbacks
from dash_app.shell.answering import Answering
from dash_app.shell.badge import badge_now
from dash_app.shell.compressed_scripts import CompressedScripts
from dash_app.shell.document import document
from dash_app.shell.filter_choices import FilterChoices
from dash_app.shell.layout import Layout
from dash_app.shell.page import Filling
from dash_app.shell.page_documents import PageDocuments, content_security_policy
from dash_app.shell.unknown_address import UnknownAddress
from dash_app.shell.view import View

_ASSETS: Final = Path(__file__).parent / "assets"


def mount(
    app: fastapi.FastAPI,
    settings: DashSettings,
    sources: Sources,
    may_connect: MayConnect = everybody,
    base_path: str = "",
) -> Dash:
    """Add the pages to `app`, which has its own routes already and keeps answering all other paths.

    `may_connect` says who may have a WebSocket, beyond that it must be a page of ours that opens it.
    `base_path` is what browsers see before every path, such as "/modelwatch"; something in front takes it off.
    """
    news = AlertNews(sources.alerts) if sources.alerts is not None else None
    pages = pages_of(sources, news)
    dash = Dash(
        "dash_app",
        server=False,
        backend="fastapi",
        title="ModelWatch",
        update_title=None,  # type: ignore[arg-type]  # documented: leaves the title alone
        assets_folder=str(_ASSETS),
        assets_ignore=r"color-scheme\.js",
        index_string=document(pages, settings, base_path + PATH if settings.is_push_enabled else None, base_path),
        routes_pathname_prefix="/",
        requests_pathname_prefix=f"{base_path}/",
        meta_tags=[{"name": "viewport", "content": "width=device-width, initial-scale=1"}],
        add_log_handler=False,
        prevent_initial_callbacks=True,
        # Only the components of the open page are there.
        suppress_callback_exceptions=True,
    )
    _keep_to_the_pages(dash)
    dash.init_app(app)
    refresh_interval_s = sources.refresh_interval_s or (lambda: settings.refresh_interval_s)
    stale_after_s = sources.stale_after_s or (lambda: settings.stale_after_s)
    dash.layout = Layout(pages, settings, base_path, refresh_interval_s)
    bar = _bar(FilterChoices(sources.query), news)
    answering = Answering(pages, refresh_interval_s, sources.now_ns, bar, stale_after_s)
    callbacks.register(dash, pages, answering)
    if settings.is_push_enabled:
        push = PushRoute(answering, settings, sources.counters, sources.now_ns, may_connect)
        app.router.routes.append(WebSocketRoute(PATH, push.serve))
    app.add_middleware(
        PageDocuments,
        paths=frozenset(page.path for page in pages),
        policy=content_security_policy(dash.csp_hashes()),
        prepare=answering.prepare,
    )
    app.add_middleware(CompressedScripts)
    app.add_middleware(UnknownAddress, pages=pages, base_path=base_path)
    return dash


def _bar(choices: FilterChoices, news: AlertNews | None) -> Callable[[View], Awaitable[Filling]]:
    async def bar(view: View) -> Filling:
        return await choices.beside(await badge_now(news) if news is not None else {}, view)

    return bar


def _keep_to_the_pages(dash: Dash) -> None:
    """Keep Dash 4.4 from what its FastAPI backend also does to the app that it is given.

    At startup it answers every unknown GET with the page, and it offers callbacks over a WebSocket, which ours do not
    use but every open page would connect to.
    """
    dash.backend.websocket_capability = False
    dash.backend._setup_catchall = lambda: None  # type: ignore[attr-defined]
