# An Auto Scaling group that always launches the environment's latest AMI. Nothing here changes when a new
# image is published: the launch template holds the name of the parameter, and EC2 resolves it at each launch.

terraform {
  required_version = ">= 1.5"
  required_providers {
    aws = {
      source = "hashicorp/aws"
      # The first with volume_initialization_rate in a launch template that these files were applied with.
      version = ">= 5.100"
    }
  }
}

locals {
  parameter = "/comfyui/ami/${var.environment}/latest"
}

# For whoever needs the id itself. It is read when Terraform plans, so an apply hours later may be late.
data "aws_ssm_parameter" "comfyui_ami" {
  name = local.parameter
}

resource "aws_instance" "single" {
  count         = var.with_single_instance ? 1 : 0
  ami           = data.aws_ssm_parameter.comfyui_ami.insecure_value
  instance_type = var.instance_type
  subnet_id     = var.subnet_ids[0]

  # For the rate of its disk, which only a launch template can name.
  launch_template {
    id      = aws_launch_template.comfyui.id
    version = aws_launch_template.comfyui.latest_version
  }

  # The image is replaced with every publication; an instance is not rebuilt for that unless somebody wants it.
  lifecycle {
    ignore_changes = [ami]
  }

  tags = {
    Name        = "comfyui-${var.environment}"
    Environment = var.environment
  }
}

resource "aws_launch_template" "comfyui" {
  name_prefix   = "comfyui-${var.environment}-"
  image_id      = "resolve:ssm:${local.parameter}"
  instance_type = var.instance_type

  # No image carries the rate at which its disk is read from the snapshot, so the template does. Above 5,000 MiB/s of all
  # launches of the Region together a launch fails: 16 instances at once at 300 (docs/fleets.md).
  block_device_mappings {
    device_name = "/dev/sda1"

    ebs {
      volume_type                = "gp3"
      volume_initialization_rate = var.initialization_rate
    }
  }

  metadata_options {
    http_tokens = "required"
  }

  tag_specifications {
    resource_type = "instance"
    tags = {
      Name        = "comfyui-${var.environment}"
      Environment = var.environment
    }
  }
}

resource "aws_autoscaling_group" "comfyui" {
  name_prefix         = "comfyui-${var.environment}-"
  min_size            = var.min_size
  max_size            = var.max_size
  vpc_zone_identifier = var.subnet_ids

  launch_template {
    id      = aws_launch_template.comfyui.id
    version = aws_launch_template.comfyui.latest_version
  }

  instance_refresh {
    strategy = "Rolling"
  }
}
