variable "environment" {
  description = "Environment of ami-lifecycle whose image is launched."
  type        = string
  default     = "prod"

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,31}$", var.environment))
    error_message = "Lower-case letters, digits and hyphens; begin with a letter."
  }
}

variable "instance_type" {
  description = "Instance type to launch."
  type        = string
  default     = "g5.xlarge"
}

variable "initialization_rate" {
  description = "MiB a second at which the disk is read from its snapshot, 100 to 300."
  type        = number
  default     = 300
}

variable "subnet_ids" {
  description = "Subnets to launch in."
  type        = list(string)
}

variable "min_size" {
  description = "Least number of instances."
  type        = number
  default     = 1
}

variable "max_size" {
  description = "Greatest number of instances."
  type        = number
  default     = 4
}

variable "with_single_instance" {
  description = "Also launch one instance outside the group."
  type        = bool
  default     = false
}
