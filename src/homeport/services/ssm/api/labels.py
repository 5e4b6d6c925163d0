"""Labels of versions.

Source: API Reference, LabelParameterVersion; user guide, "Working with parameter labels".
"""

from __future__ import annotations

import msgspec

from homeport.core.call import Call
from homeport.services.ssm.api.context import (
    Answer,
    Request,
    Ssm,
    find,
    one_resource,
    ops,
    repo_of,
    version_of,
)
from homeport.services.ssm.errors import ParameterVersionLabelLimitExceeded
from homeport.services.ssm.plan.names import Reference, is_label
from homeport.store.tx import Tx

LABELS_MAX = 10


@ops.operation("LabelParameterVersion", resources=one_resource)
async def label_parameter_version(call: Call, ssm: Ssm, req: Request) -> Answer:
    """Label a version, the newest by default; a label is at one version at a time."""
    wanted = tuple(dict.fromkeys(req["Labels"]))
    good = tuple(label for label in wanted if is_label(label))

    def work(tx: Tx) -> Answer:
        repo = repo_of(tx, call)
        parameter = find(tx, call, req["Name"])
        number = req.get("ParameterVersion", parameter.latest)
        target = version_of(tx, call, parameter, Reference(name=parameter.name, version=number))
        labels = (*target.labels, *(label for label in good if label not in target.labels))
        if len(labels) > LABELS_MAX:
            raise ParameterVersionLabelLimitExceeded(
                f"An error occurred (ParameterVersionLabelLimitExceeded): a version has at most {LABELS_MAX} "
                "labels. Remove one of them, or move it to another version."
            )
        for version in repo.versions(parameter):
            kept = tuple(label for label in version.labels if label not in good)
            after = labels if version.number == number else kept
            if after != version.labels:
                repo.save_version(parameter, msgspec.structs.replace(version, labels=after))
        repo.save(parameter)
        return {
            "InvalidLabels": [label for label in wanted if label not in good],
            "ParameterVersion": number,
        }

    return await ssm.store.write(work)


@ops.operation("UnlabelParameterVersion", resources=one_resource)
async def unlabel_parameter_version(call: Call, ssm: Ssm, req: Request) -> Answer:
    """Take labels from a version; those that it does not have are told."""
    wanted = tuple(dict.fromkeys(req["Labels"]))

    def work(tx: Tx) -> Answer:
        parameter = find(tx, call, req["Name"])
        meant = Reference(name=parameter.name, version=req["ParameterVersion"])
        version = version_of(tx, call, parameter, meant)
        kept = tuple(label for label in version.labels if label not in wanted)
        repo = repo_of(tx, call)
        repo.save_version(parameter, msgspec.structs.replace(version, labels=kept))
        repo.save(parameter)
        return {
            "RemovedLabels": [label for label in wanted if label in version.labels],
            "InvalidLabels": [label for label in wanted if label not in version.labels],
        }

    return await ssm.store.write(work)
