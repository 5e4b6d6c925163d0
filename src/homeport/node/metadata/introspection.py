"""Introspection: what an instance's agent says about itself, on port 51678.

Source: recordings of amazon-ecs-agent 1.105.1 (tests/data/agent_metadata).
"""

from __future__ import annotations

from homeport.node.metadata import view
from homeport.node.metadata.answer import Answer, Question, answer_json
from homeport.node.metadata.source import MetadataSource, TaskView

INTROSPECTION_PORT = 51678
_COMMANDS = ["/v1/metadata", "/v1/tasks", "/license"]
LICENSE_TEXT = b"Homeport: see the LICENSE file of its distribution.\n"


class IntrospectionEndpoint:
    """One instance's."""

    def __init__(self, source: MetadataSource) -> None:
        self._source = source

    async def answer(self, question: Question) -> Answer:
        """Unknown paths list the known ones, as the agent does."""
        match question.path.strip("/"):
            case "v1/metadata":
                instance = self._source.instance()
                return answer_json(
                    {
                        "Cluster": instance.cluster,
                        "ContainerInstanceArn": instance.container_instance_arn,
                        "Version": instance.version,
                    }
                )
            case "v1/tasks":
                return self._tasks(question)
            case "license":
                return Answer(body=LICENSE_TEXT, content_type="text/plain; charset=utf-8")
            case _:
                listed = answer_json({"AvailableCommands": _COMMANDS})
                return Answer(body=listed.body, content_type="text/plain; charset=utf-8")

    def _tasks(self, question: Question) -> Answer:
        arn, docker_id = question.query.get("taskarn"), question.query.get("dockerid")
        if not arn and not docker_id:
            return answer_json({"Tasks": [view.introspected_task(task) for task in self._source.tasks()]})
        found = next(
            (task for task in self._source.tasks() if task.task.arn == arn or _holds(task, docker_id)), None
        )
        return answer_json(view.introspected_task(found), 200 if found else 404)


def _holds(task: TaskView, docker_id: str | None) -> bool:
    """A container's id, or the beginning of one."""
    return bool(docker_id) and any(
        each.status is not None and each.status.docker_id.startswith(docker_id or "")
        for each in task.containers
    )
