"""Keep one golden AMI per environment up to date with a Docker image in ECR, and publish its id."""
