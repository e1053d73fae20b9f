"""Real machines: systemd containers with a Docker engine and a registry, on which documents run for real."""
