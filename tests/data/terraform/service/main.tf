data "aws_vpc" "default" { default = true }
data "aws_subnets" "default" {
  filter {
    name   = "vpc-id"
    values = [data.aws_vpc.default.id]
  }
}
data "aws_security_group" "default" {
  vpc_id = data.aws_vpc.default.id
  name   = "default"
}
resource "aws_security_group" "lb" {
  name   = "lb"
  vpc_id = data.aws_vpc.default.id
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
resource "aws_vpc_security_group_ingress_rule" "hosts" {
  security_group_id            = data.aws_security_group.default.id
  referenced_security_group_id = aws_security_group.lb.id
  ip_protocol                  = "tcp"
  from_port                    = 49153
  to_port                      = 65535
}
resource "aws_lb" "web" {
  name            = "web"
  security_groups = [aws_security_group.lb.id]
  subnets         = data.aws_subnets.default.ids
}
resource "aws_lb_target_group" "web" {
  name                 = "web"
  port                 = 80
  protocol             = "HTTP"
  vpc_id               = data.aws_vpc.default.id
  deregistration_delay = 3
  health_check {
    path              = "/etc/passwd"
    interval          = 5
    timeout           = 2
    healthy_threshold = 2
  }
}
resource "aws_lb_listener" "web" {
  load_balancer_arn = aws_lb.web.arn
  port              = 80
  default_action {
    type             = "forward"
    target_group_arn = aws_lb_target_group.web.arn
  }
}
resource "aws_ecs_task_definition" "web" {
  family                = "web"
  container_definitions = jsonencode([{ name = "web", image = var.image, memory = 64, command = ["httpd", "-f", "-p", "8080", "-h", "/"], portMappings = [{ containerPort = 8080 }] }])
}
variable "image" {}
resource "aws_ecs_service" "web" {
  name                              = "web"
  task_definition                   = aws_ecs_task_definition.web.arn
  desired_count                     = 2
  wait_for_steady_state             = true
  health_check_grace_period_seconds = 60
  load_balancer {
    target_group_arn = aws_lb_target_group.web.arn
    container_name   = "web"
    container_port   = 8080
  }
  depends_on = [aws_lb_listener.web, aws_vpc_security_group_ingress_rule.hosts]
}
output "dns" { value = aws_lb.web.dns_name }
