"""The instances that register with ECS are those that EC2 tells of."""

from __future__ import annotations

from tests.kit.server import live_server


def test_container_instances_are_local_instances_and_impaired_while_their_agent_is_away() -> None:
    with live_server() as live:
        ecs, ec2 = live.client("ecs"), live.client("ec2")
        assert ec2.describe_instances()["Reservations"] == []
        ecs.create_cluster(clusterName="default")
        node = live.add_node(instance_type="homeport.local")
        live.add_node(availability_zone="us-east-1b")
        (one,), (other,) = (held["Instances"] for held in ec2.describe_instances()["Reservations"])
        arns = ecs.list_container_instances()["containerInstanceArns"]
        known = ecs.describe_container_instances(containerInstances=arns)["containerInstances"]
        assert {one["InstanceId"], other["InstanceId"]} == {held["ec2InstanceId"] for held in known}
        assert (one["InstanceType"], one["Placement"]["AvailabilityZone"]) == ("homeport.local", "us-east-1a")
        assert other["Placement"]["AvailabilityZone"] == "us-east-1b"
        assert live.client("ec2", region_name="eu-west-1").describe_instances()["Reservations"] == []
        live.stop_agent(node)
        statuses = ec2.describe_instance_status()["InstanceStatuses"]
        assert [held["InstanceStatus"]["Status"] for held in statuses] == ["impaired", "ok"]
