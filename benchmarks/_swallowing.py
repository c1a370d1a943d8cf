"""A process that takes whatever is exported to it and keeps nothing: OTLP over gRPC, and any POST over HTTP."""

from __future__ import annotations

import sys
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import grpc


class _Swallow(grpc.GenericRpcHandler):
    def service(self, _: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(lambda request, context: b"")


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.send_response(200)
        self.send_header("content-length", "2")
        self.end_headers()
        self.wfile.write(b"{}")

    def log_message(self, *_: object) -> None:
        """Keep the output to the ports."""


def main() -> None:
    """Print the two ports, and serve until the input ends."""
    server = grpc.server(ThreadPoolExecutor(4))
    server.add_generic_rpc_handlers((_Swallow(),))
    grpc_port = server.add_insecure_port("127.0.0.1:0")
    server.start()
    http = ThreadingHTTPServer(("127.0.0.1", 0), _Handler)
    ThreadPoolExecutor(1).submit(http.serve_forever)
    print(grpc_port, http.server_port, flush=True)
    sys.stdin.read()
    http.shutdown()
    server.stop(None)


if __name__ == "__main__":
    main()
