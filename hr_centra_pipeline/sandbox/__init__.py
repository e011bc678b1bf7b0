"""A local Happy Returns and a local Centra over real HTTP, faithful to what the vendors document; shares no code with the rest."""
