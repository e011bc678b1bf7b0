"""A Centra: durable store with its rules, GraphQL Integration API, Order API, quotas and permissions."""
