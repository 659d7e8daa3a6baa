"""How Headrace is run: locally, in containers, on ECS."""
