"""The torture of the push: real processes that are really killed, every fault of the sandbox, people at the worst moment.

``make torture`` runs it long; a small form is in ``make test``, together with senders that are broken on purpose.
"""
