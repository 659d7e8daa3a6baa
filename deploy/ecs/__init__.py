"""On ECS: one CloudFormation template, and what of it follows from the code."""
