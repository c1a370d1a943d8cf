"""The resources under each model API: containers and processes, sent as OTLP metrics like any other client's."""
