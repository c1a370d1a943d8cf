"""The attribute keys that ModelWatch reads and writes, as OpenTelemetry's semantic conventions spell them.

Names that instrumentations still emit from before the HTTP conventions became stable are marked as old.
"""

from typing import Final

SERVICE_NAME: Final = "service.name"
SERVICE_VERSION: Final = "service.version"
SERVICE_INSTANCE_ID: Final = "service.instance.id"
DEPLOYMENT_ENVIRONMENT: Final = "deployment.environment.name"
DEPLOYMENT_ENVIRONMENT_OLD: Final = "deployment.environment"

# OpenTelemetry has no convention for classical models yet (semantic-conventions issue 3420); these are ours.
MODEL_NAME: Final = "ml.model.name"
MODEL_VERSION: Final = "ml.model.version"

HTTP_REQUEST_METHOD: Final = "http.request.method"
HTTP_METHOD_OLD: Final = "http.method"
HTTP_ROUTE: Final = "http.route"
HTTP_RESPONSE_STATUS_CODE: Final = "http.response.status_code"
HTTP_STATUS_CODE_OLD: Final = "http.status_code"
ERROR_TYPE: Final = "error.type"

UNKNOWN_SERVICE: Final = "unknown_service"
"""The service name for spans without one (specification, "Resource semantic conventions", service)."""
