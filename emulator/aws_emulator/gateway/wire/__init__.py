"""HTTP requests to operations and back, driven by botocore's service models."""
