"""An OTLP/gRPC relay that notes the very spans that a receiver accepted, as the independent witness of a test."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import grpc
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from tests.support.ports import free_port

METHOD = "/opentelemetry.proto.collector.trace.v1.TraceService/Export"


class OtlpTee(grpc.GenericRpcHandler):
    """Listens on a port of its own, passes every request on unchanged, keeps those that were answered with success."""

    def __init__(self, target_port: int) -> None:
        self.port = free_port()
        self.accepted: list[bytes] = []
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{target_port}")
        self._forward = self._channel.unary_unary(METHOD)
        self._server = grpc.aio.server()
        self._server.add_generic_rpc_handlers((self,))
        self._server.add_insecure_port(f"127.0.0.1:{self.port}")

    async def start(self) -> None:
        await self._server.start()

    async def stop(self) -> None:
        await self._server.stop(2)
        await self._channel.close()

    def service(self, handler_call_details: Any) -> Any:
        return grpc.unary_unary_rpc_method_handler(self._relay) if handler_call_details.method == METHOD else None

    async def _relay(self, request: bytes, context: Any) -> bytes:
        try:
            response: bytes = await self._forward(request, timeout=10)
        except grpc.aio.AioRpcError as error:
            await context.abort(error.code(), error.details() or "")
            raise
        self.accepted.append(request)
        return response

    def spans(self) -> Iterator[tuple[str, Span]]:
        """Yield the service name and the span for every span that was accepted."""
        for body in self.accepted:
            for resource_spans in ExportTraceServiceRequest.FromString(body).resource_spans:
                attributes = {pair.key: pair.value.string_value for pair in resource_spans.resource.attributes}
                for scope_spans in resource_spans.scope_spans:
                    for span in scope_spans.spans:
                        yield attributes["service.name"], span
