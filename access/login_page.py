"""The page where people log in: a plain form, which works without any script.

HTML in the look of the pages (`/assets/theme.css` is theirs); everything that comes from outside is escaped.
"""

from __future__ import annotations

import base64
import hashlib
from html import escape
from typing import Final

from starlette.responses import HTMLResponse, Response

from access.answers import NO_STORE

OPEN_ASSETS: Final = frozenset(
    {
        "/assets/theme.css",
        "/assets/color-scheme.js",
        "/assets/logo.svg",
        "/assets/fonts/inter.woff2",
        "/assets/fonts/jetbrains-mono.woff2",
    }
)
"""What the page needs, so that it is open to everybody."""

_STYLE: Final = """
body { min-height: 100vh; display: grid; place-items: center; font-size: 14px; }
main { width: min(340px, calc(100vw - 32px)); box-sizing: border-box; padding: 28px; background: var(--panel);
  border: 1px solid var(--line); border-radius: 10px; box-shadow: var(--shadow); }
h1 { display: flex; align-items: center; gap: 10px; margin: 0 0 4px; font-size: 18px; letter-spacing: -0.01em; }
p { margin: 0 0 18px; color: var(--muted); line-height: 1.45; }
p.error { margin: 0 0 14px; color: var(--critical); font-weight: 550; }
label { display: block; margin: 0 0 5px; font-weight: 550; }
input { width: 100%; box-sizing: border-box; margin: 0 0 14px; padding: 9px 11px; font: inherit; color: var(--text);
  background: var(--page); border: 1px solid var(--muted); border-radius: 6px; }
button { width: 100%; margin-top: 4px; padding: 10px; font: inherit; font-weight: 600; cursor: pointer;
  color: var(--panel); background: var(--accent); border: 0; border-radius: 6px; }
"""
_STYLE_HASH: Final = base64.b64encode(hashlib.sha256(_STYLE.encode()).digest()).decode()
_POLICY: Final = (
    f"default-src 'none'; style-src 'self' 'sha256-{_STYLE_HASH}'; script-src 'self'; img-src 'self'; "
    "font-src 'self'; form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
_PAGE: Final = """<!DOCTYPE html>
<html lang="en" data-mantine-color-scheme="dark">
  <head>
    <meta charset="utf-8">
    <meta name="viewport" content="width=device-width, initial-scale=1">
    <meta name="robots" content="noindex">
    <title>Sign in · ModelWatch</title>
    <link rel="icon" type="image/svg+xml" href="{base}/assets/logo.svg">
    <script src="{base}/assets/color-scheme.js"></script>
    <link rel="stylesheet" href="{base}/assets/theme.css">
    <style>{style}</style>
  </head>
  <body>
    <main>
      <h1><img src="{base}/assets/logo.svg" alt="" width="26" height="26">ModelWatch</h1>
      <p>{note}</p>{error}
      <form method="post" action="{base}/login">
        <input type="hidden" name="next" value="{place}">
        <label for="name">Name</label>
        <input id="name" name="name" value="{name}" autocomplete="username" autocapitalize="none" spellcheck="false"
          maxlength="64" required{focus_name}{described}>
        <label for="password">Password</label>
        <input id="password" name="password" type="password" autocomplete="current-password" maxlength="1000"
          required{focus_password}{described}>
        <button type="submit">Sign in</button>
      </form>
    </main>
  </body>
</html>"""


class LoginPage:
    """The page as browsers see it below `base_path`."""

    def __init__(self, base_path: str) -> None:
        self._base_path = base_path

    def answer(
        self,
        place: str,
        *,
        name: str = "",
        error: str = "",
        note: str = "Sign in to go on.",
        status: int = 200,
        retry_s: int = 0,
    ) -> Response:
        """Return the page; whoever logs in goes on to `place`, which must be one of ours."""
        said = f'\n      <p class="error" id="error" role="alert">{escape(error)}</p>' if error else ""
        page = _PAGE.format(
            base=self._base_path,
            style=_STYLE,
            note=escape(note),
            error=said,
            place=escape(place),
            name=escape(name),
            focus_name="" if name else " autofocus",
            focus_password=" autofocus" if name else "",
            described=' aria-describedby="error" aria-invalid="true"' if error else "",
        )
        headers = {**NO_STORE, "Content-Security-Policy": _POLICY, **({"Retry-After": str(retry_s)} if retry_s else {})}
        return HTMLResponse(page, status, headers)
