"""A bare OTLP/gRPC server that keeps the bytes it gets, and answers what it is told to first."""

from __future__ import annotations

import asyncio
from typing import Any

import grpc
import grpc.aio
from google.protobuf.duration_pb2 import Duration
from google.rpc.error_details_pb2 import RetryInfo
from google.rpc.status_pb2 import Status

Refusal = tuple[grpc.StatusCode, str, float | None]
"""Code, details, and the seconds of RetryInfo if there is one."""


class GrpcTarget(grpc.GenericRpcHandler):
    """Listens on a free port of loopback, or on the one given. `answers` come first, one a request."""

    def __init__(self, port: int = 0, credentials: grpc.ServerCredentials | None = None) -> None:
        self.port = port
        self.answers: list[Refusal | bytes] = []
        self.bodies: list[bytes] = []
        self.metadata: list[dict[str, str]] = []
        self.delay_s = 0.0
        self._credentials = credentials
        self._server: grpc.aio.Server | None = None

    async def __aenter__(self) -> GrpcTarget:
        options = [("grpc.max_receive_message_length", -1), ("grpc.so_reuseport", 0)]
        self._server = grpc.aio.server(handlers=[self], options=options)
        address = f"localhost:{self.port}"
        if self._credentials is None:
            self.port = self._server.add_insecure_port(address)
        else:
            self.port = self._server.add_secure_port(address, self._credentials)
        await self._server.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._server is not None
        await self._server.stop(None)

    def service(self, call_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._export)

    async def _export(self, body: bytes, context: Any) -> bytes:
        self.metadata.append(dict(context.invocation_metadata()))
        await asyncio.sleep(self.delay_s)
        answer = self.answers.pop(0) if self.answers else b""
        if isinstance(answer, bytes):
            self.bodies.append(body)
            return answer
        code, details, retry_after_s = answer
        trailers: tuple[tuple[str, bytes], ...] = ()
        if retry_after_s is not None:
            status = Status(code=code.value[0], message=details)
            status.details.add().Pack(RetryInfo(retry_delay=Duration(nanos=int(retry_after_s * 1e9))))
            trailers = (("grpc-status-details-bin", status.SerializeToString()),)
        await context.abort(code, details, trailers)
        raise AssertionError("aborted")
