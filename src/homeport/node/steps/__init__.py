"""One file per lifecycle step: each does one thing to one container or task, and says how it went.

A step may be cancelled at any moment and asked again: everything it does is
found under the same name the second time.
"""
