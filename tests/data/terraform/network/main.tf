data "aws_vpc" "default" { default = true }
data "aws_availability_zones" "all" { state = "available" }
data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}
data "aws_subnet" "one" { id = data.aws_subnets.default.ids[0] }
data "aws_security_group" "default" {
  vpc_id = data.aws_vpc.default.id
  name   = "default"
}
data "aws_caller_identity" "me" {}
data "aws_region" "here" {}
data "aws_route_table" "main" { vpc_id = data.aws_vpc.default.id }
data "aws_internet_gateway" "default" {
  filter {
    name   = "attachment.vpc-id"
    values = [data.aws_vpc.default.id]
  }
}
data "aws_network_interfaces" "all" {}
resource "aws_vpc" "own" {
  cidr_block           = "10.213.0.0/16"
  enable_dns_hostnames = true
  tags                 = { Name = "tf" }
}
resource "aws_internet_gateway" "gw" { vpc_id = aws_vpc.own.id }
resource "aws_subnet" "a" {
  count                   = 2
  vpc_id                  = aws_vpc.own.id
  cidr_block              = cidrsubnet(aws_vpc.own.cidr_block, 8, count.index)
  availability_zone       = data.aws_availability_zones.all.names[count.index]
  map_public_ip_on_launch = true
}
resource "aws_route_table" "public" {
  vpc_id = aws_vpc.own.id
  route {
    cidr_block = "0.0.0.0/0"
    gateway_id = aws_internet_gateway.gw.id
  }
}
resource "aws_route_table_association" "a" {
  count          = 2
  subnet_id      = aws_subnet.a[count.index].id
  route_table_id = aws_route_table.public.id
}
resource "aws_security_group" "lb" {
  name   = "lb"
  vpc_id = aws_vpc.own.id
  ingress {
    from_port   = 80
    to_port     = 80
    protocol    = "tcp"
    cidr_blocks = ["0.0.0.0/0"]
  }
  egress {
    from_port   = 0
    to_port     = 0
    protocol    = "-1"
    cidr_blocks = ["0.0.0.0/0"]
  }
}
resource "aws_security_group" "app" {
  name_prefix = "app-"
  vpc_id      = aws_vpc.own.id
  lifecycle { create_before_destroy = true }
}
resource "aws_vpc_security_group_ingress_rule" "app" {
  security_group_id            = aws_security_group.app.id
  referenced_security_group_id = aws_security_group.lb.id
  ip_protocol                  = "tcp"
  from_port                    = 8080
  to_port                      = 8081
  tags                         = { Name = "r" }
}
resource "aws_vpc_security_group_egress_rule" "app" {
  security_group_id = aws_security_group.app.id
  cidr_ipv4         = "0.0.0.0/0"
  ip_protocol       = "-1"
}
resource "aws_security_group_rule" "old" {
  type              = "ingress"
  security_group_id = aws_security_group.app.id
  self              = true
  protocol          = "icmp"
  from_port         = -1
  to_port           = -1
}
resource "aws_network_interface" "one" {
  subnet_id       = aws_subnet.a[0].id
  security_groups = [aws_security_group.app.id]
}
resource "aws_default_security_group" "own" { vpc_id = aws_vpc.own.id }
resource "aws_default_route_table" "own" { default_route_table_id = aws_vpc.own.default_route_table_id }
output "ids" { value = data.aws_subnets.default.ids }
