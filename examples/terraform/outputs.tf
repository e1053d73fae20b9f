output "ami_id" {
  description = "The latest AMI as of the last plan."
  value       = data.aws_ssm_parameter.comfyui_ami.insecure_value
}
