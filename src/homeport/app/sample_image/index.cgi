#!/bin/sh
# The sample's only page: says which task answered, as the task metadata endpoint tells it.
# Lines begin with a name that a program can look for.
member() { printf '%s' "$metadata" | sed -n 's/.*"'"$1"'": *"\([^"]*\)".*/\1/p' | head -n 1; }

metadata=''
if [ -n "${ECS_CONTAINER_METADATA_URI_V4:-}" ]; then
    metadata=$(wget -q -O - "$ECS_CONTAINER_METADATA_URI_V4/task" | tr '\n' ' ' | tr ',' '\n')
fi
printf 'Content-Type: text/plain\r\n\r\n'
echo "Hello from Homeport."
echo "task: $(member TaskARN)"
echo "definition: $(member Family):$(member Revision)"
echo "cluster: $(member Cluster)"
echo "container: $(hostname)"
echo "answered ${REMOTE_ADDR:-somebody}" >&2
