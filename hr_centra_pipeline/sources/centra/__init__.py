"""Centra: its client and quotas, the operations that we use, what is pulled and how it is staged."""
