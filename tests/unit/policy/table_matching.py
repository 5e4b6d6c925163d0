"""Which actions and resources a statement is about.

Sources: IAM User Guide, elements: Action, NotAction, Resource, NotResource, wildcards in resource ARNs.
"""

from __future__ import annotations

# (Action of the statement, action of the request, whether they meet)
ACTIONS = (
    ("ecs:RunTask", "ecs:RunTask", True),
    ("ECS:runtask", "ecs:RunTask", True),
    ("ecs:RunTask", "ECS:RUNTASK", True),
    ("ecs:RunTask", "ecs:RunTasks", False),
    ("ecs:RunTask", "ecr:RunTask", False),
    ("ecs:Run*", "ecs:RunTask", True),
    ("ecs:*Task", "ecs:RunTask", True),
    ("ecs:*Task", "ecs:RunTaskNow", False),
    ("ecs:*", "ecs:RunTask", True),
    ("ecs:*", "ecr:GetAuthorizationToken", False),
    ("*", "ecs:RunTask", True),
    ("*:*", "ecs:RunTask", True),
    ("*:RunTask", "ecs:RunTask", True),
    ("ecs:?unTask", "ecs:RunTask", True),
    ("ecs:?RunTask", "ecs:RunTask", False),
    ("ecs:D*C*s", "ecs:DescribeClusters", True),
    ("ecs:D*C*s", "ecs:DeleteAttribute", False),
    (["ecr:*", "ecs:List*"], "ecs:ListTasks", True),
    (["ecr:*", "ecs:List*"], "ecs:RunTask", False),
    ("iam: odd name ", "iam: odd name ", True),
)

CLUSTER = "arn:aws:ecs:us-east-1:111122223333:cluster/web"
LOGS = "arn:aws:logs:us-east-1:111122223333:log-group:/ecs/app:log-stream:a/b"
OBJECT = "arn:aws:s3:::bucket/1/2/test/3/object.jpg"

# (Resource of the statement, resource of the request, whether they meet)
RESOURCES = (
    ("*", CLUSTER, True),
    ("*", "*", True),
    (CLUSTER, CLUSTER, True),
    (CLUSTER, "*", False),
    (CLUSTER, f"{CLUSTER}2", False),
    (CLUSTER.replace("web", "WEB"), CLUSTER, False),
    (CLUSTER.replace("web", "*"), CLUSTER, True),
    (CLUSTER.replace("web", "w?b"), CLUSTER, True),
    (CLUSTER.replace("web", "w?"), CLUSTER, False),
    ("arn:aws:ecs:*:*:cluster/web", CLUSTER, True),
    ("arn:aws:ecs:*:*:cluster/api", CLUSTER, False),
    ("arn:*:ecs:us-east-1:111122223333:cluster/web", CLUSTER, True),
    ("arn:aws:ecs:us-*-1:111122223333:cluster/web", CLUSTER, True),
    ("arn:aws:ecs:us-*-2:111122223333:cluster/web", CLUSTER, False),
    ("arn:aws:ecs:us-east-?:11112222????:cluster/web", CLUSTER, True),
    ("arn:aws:ecs:us-east-1:111122223333:*", CLUSTER, True),
    ("arn:aws:ecs:us-east-1:*", CLUSTER, True),
    ("arn:aws:ecs:*", CLUSTER, True),
    ("arn:aws:ecr:*", CLUSTER, False),
    ("arn:aws:ecs", CLUSTER, True),
    ("arn:aws:ecr", CLUSTER, False),
    # A star that ends its field runs on over colons; one within its field does not, nor does "?".
    ("arn:aws:ecs:*/web", CLUSTER, False),
    ("arn:aws:ecs:*:cluster/web:*", CLUSTER, False),
    ("arn:aws:ecs:*:cluster/web:*", f"{CLUSTER}:x", True),
    ("arn:aws:ecs:us*:cluster/w:x", "arn:aws:ecs:us-east-1:111122223333:cluster/w:x", True),
    ("arn:aws:ecs:us*1:cluster/w:x", "arn:aws:ecs:us-east-1:111122223333:cluster/w:x", False),
    # Four or five fields are completed, so that they hold no resource that lacks a further colon.
    ("arn:aws:ecs:*:cluster/web", CLUSTER, False),
    ("arn:aws:ecs:*:cluster/web", f"{CLUSTER}:x", True),
    ("arn:aws:ecs:us-east-1?111122223333:cluster/web", CLUSTER, False),
    ("arn:aws:ecs:us*1:111122223333:cluster/web", CLUSTER, True),
    ("arn:aws:ecs:u*3:cluster/web:*", CLUSTER, False),
    ("arn:aws:ecs:*:u*1:*:*", "arn:aws:ecs:x:u:u1:y:z", True),
    ("arn:aws:logs:*:*:log-group:/ecs/*", LOGS, True),
    ("arn:aws:logs:*:*:log-group:/ecs/*:log-stream:*", LOGS, True),
    ("arn:aws:logs:*:*:log-group:/ecs/*:log-stream:b*", LOGS, False),
    ("arn:aws:logs:us-east-1:111122223333:log-group:/ecs/a??*log-stream:a/b", LOGS, True),
    ("arn:aws:s3:::bucket/*/test/*", OBJECT, True),
    ("arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1///test///object.jpg", True),
    ("arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket//test/object.jpg", True),
    ("arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1/test/", True),
    ("arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1-test/object.jpg", False),
    ("arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/test/object.jpg", False),
    ("arn:aws:s3:::bucket/*/test/*", "arn:aws:s3:::bucket/1/2/test.jpg", False),
    ("arn:aws:s3:::*log*", "arn:aws:s3:::carlossalazar-logs", True),
    (["arn:aws:s3:::a", CLUSTER], CLUSTER, True),
    (["arn:aws:s3:::a", "arn:aws:s3:::b"], CLUSTER, False),
    # The caller is alice; a variable stands for text, and is known in the last field only.
    ("arn:aws:s3:::home/${aws:username}", "arn:aws:s3:::home/alice", True),
    ("arn:aws:s3:::home/${aws:username}/*", "arn:aws:s3:::home/alice/x:y", True),
    ("arn:aws:s3:::home/${aws:username}/*", "arn:aws:s3:::home/bob/x", False),
    ("arn:aws:s3:::home/${aws:username}?", "arn:aws:s3:::home/alice1", True),
    ("arn:aws:s3:::home/${aws:none}", "arn:aws:s3:::home/", False),
    ("arn:aws:s3:::home/${aws:none, 'all'}", "arn:aws:s3:::home/all", True),
    ("arn:aws:s3:::home/${aws:none, '*'}", "arn:aws:s3:::home/all", False),
    ("arn:aws:s3:::home/${*}", "arn:aws:s3:::home/all", False),
    ("arn:aws:s3:::home/${*}", "arn:aws:s3:::home/*", True),
    (["arn:aws:s3:::home/${aws:none}", "arn:aws:s3:::home/x"], "arn:aws:s3:::home/x", True),
    ("arn:aws:ecs:us-east-1:${aws:PrincipalAccount}:cluster/web", CLUSTER, False),
)

# NotResource of what cannot be known excludes everything, whichever list it stands in.
UNKNOWN_EXCLUSIONS = (
    "arn:aws:s3:::home/${aws:none}",
    ["arn:aws:s3:::other", "arn:aws:s3:::home/${aws:none}"],
    ["arn:aws:s3:::home/${aws:none}", "arn:aws:s3:::other"],
)
