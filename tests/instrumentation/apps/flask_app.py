"""A Flask application, for servers of WSGI and their workers."""

from __future__ import annotations

import os
from collections.abc import Iterator

from flask import Flask, Response, abort

app = Flask(__name__)


@app.get("/pid")
def pid() -> str:
    return str(os.getpid())


@app.get("/items/<int:item_id>")
def item(item_id: int) -> str:
    return str(item_id)


@app.get("/gone/<name>")
def gone(name: str) -> None:
    abort(410)


@app.get("/broken/<int:item_id>")
def broken(item_id: int) -> None:
    raise ValueError("no such feature")


@app.get("/stream")
def stream() -> Response:
    def chunks() -> Iterator[str]:
        yield from ("one", "two")

    return Response(chunks())
