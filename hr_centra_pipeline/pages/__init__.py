"""The pages for the teams: one ASGI site on published files only. Decisions that are made in it are kept for the pipeline."""
