"""Registers what landed with Athena."""
