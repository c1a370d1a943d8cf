"""What Prometheus reads at `/metrics`: families of samples, and how they are written."""
