"""Shipped header profiles: the default one and an example of another spelling."""
