"""Serves counts over HTTP and collects events from browsers."""
