"""One file per message of the control plane.

The sockets (`node.sockets`) acknowledge a frame when its responder returns, answer heartbeats, compare
manifests with the running tasks and refuse updates; what is left is here.
"""
