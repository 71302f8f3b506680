"""The job, one module a verb; each reads like a recipe."""
