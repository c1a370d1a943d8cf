"""`WS /api/v1/live`: the answers of the REST routes, sent again whenever they change."""
