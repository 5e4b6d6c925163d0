terraform {
  required_providers {
    aws = { source = "hashicorp/aws" }
  }
}
variable "endpoint" {}
provider "aws" {
  region = "us-east-1"
  endpoints {
    ec2   = var.endpoint
    sts   = var.endpoint
    iam   = var.endpoint
    ecs   = var.endpoint
    elbv2 = var.endpoint
  }
}
