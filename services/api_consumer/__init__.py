"""Polls a web traffic API or reads files, and puts what is valid on the stream."""
