"""The attribute keys that ModelWatch reads and writes, as OpenTelemetry's semantic conventions spell them.

Names that instrumentations still emit from before the HTTP conventions became stable are marked as old.
"""

from typing import Final

SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment.name"
DEPLOYMENT_ENVIRONMENT_OLD: Final = "deployment.environment"
HOST_NAME: Final = "host.name"
PROCESS_PID: Final = "process.pid"
CONTAINER_ID: Final = "container.id"
CONTAINER_NAME: Final = "container.name"
K8S_NAMESPACE: Final = "k8s.namespace.name"
K8S_POD: Final = "k8s.pod.name"
K8S_CONTAINER: Final = "k8s.container.name"
SDK_LANGUAGE: Final = "telemetry.sdk.language"
SDK_VERSION: Final = "telemetry.sdk.version"

MEASURED_BY: Final = "modelwatch.measured_by"
"""Ours: who measured a resource from outside, which therefore does not speak of itself."""

CANARY_SERVICE_NAME: Final = "modelwatch.canary"
"""Ours: the service of the spans that ModelWatch sends through itself. No other may have the name."""

# OpenTelemetry has no convention for classical models yet (semantic-conventions issue 3420); these are ours.
MODEL_NAME: Final = "ml.model.name"
MODEL_VERSION: Final = "ml.model.version"
MODEL_OPERATION: Final = "ml.operation.name"

HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_METHOD_OLD: Final = "http.method"
HTTP_ROUTE: Final = "http.route"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_STATUS_CODE_OLD: Final = "http.status_code"
ERROR_TYPE: Final = "error.type"
HTTP_DURATION_BOUNDS_S: Final = (0.005, 0.01, 0.025, 0.05, 0.075, 0.1, 0.25, 0.5, 0.75, 1.0, 2.5, 5.0, 7.5, 10.0)
"""The bounds of buckets that are advised for durations, in seconds (HTTP metrics conventions)."""
URL_PATH: Final = "url.path"
URL_TEMPLATE: Final = "url.template"
HTTP_TARGET_OLD: Final = "http.target"
HTTP_URL_OLD: Final = "http.url"

PEER_SERVICE: Final = "service.peer.name"
PEER_SERVICE_OLD: Final = "peer.service"
SERVER_ADDRESS: Final = "server.address"
SERVER_ADDRESS_OLD: Final = "net.peer.name"

RPC_SYSTEM: Final = "rpc.system.name"
RPC_SYSTEM_OLD: Final = "rpc.system"
RPC_SERVICE: Final = "rpc.service"
RPC_METHOD: Final = "rpc.method"
RPC_STATUS_CODE: Final = "rpc.response.status_code"
RPC_GRPC_STATUS_CODE_OLD: Final = "rpc.grpc.status_code"

MESSAGING_SYSTEM: Final = "messaging.system"
MESSAGING_DESTINATION_TEMPLATE: Final = "messaging.destination.template"
MESSAGING_DESTINATION: Final = "messaging.destination.name"
MESSAGING_DESTINATION_OLD: Final = "messaging.destination"
MESSAGING_DESTINATION_TEMPORARY: Final = "messaging.destination.temporary"
MESSAGING_DESTINATION_ANONYMOUS: Final = "messaging.destination.anonymous"

DB_SYSTEM: Final = "db.system.name"
DB_SYSTEM_OLD: Final = "db.system"
DB_OPERATION: Final = "db.operation.name"
DB_OPERATION_OLD: Final = "db.operation"
DB_COLLECTION: Final = "db.collection.name"
DB_COLLECTION_OLD: Final = "db.sql.table"

GEN_AI_PROVIDER: Final = "gen_ai.provider.name"
GEN_AI_PROVIDER_OLD: Final = "gen_ai.system"
GEN_AI_OPERATION: Final = "gen_ai.operation.name"
GEN_AI_MODEL: Final = "gen_ai.request.model"

METRIC_OVERFLOW: Final = "otel.metric.overflow"
"""Marks what is added up because there is too much of it (Metrics SDK, "Overflow attribute")."""

UNKNOWN_SERVICE: Final = "unknown_service"
"""The service name for spans without one (specification, "Resource semantic conventions", service)."""
