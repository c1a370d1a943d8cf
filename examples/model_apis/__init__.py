"""Three model APIs as anybody might write them, one module each, served by uvicorn.

They know nothing of OpenTelemetry and nothing of ModelWatch; both come from outside, by environment variables.
"""
