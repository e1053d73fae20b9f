"""AWS behind the ports: boto3 shapes in, domain types out."""
