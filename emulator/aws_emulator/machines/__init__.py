"""Real provisioning: the documents run on machines, containers with a real systemd, Docker engine and registry."""
