"""An OpenTelemetry distro for model servers."""
