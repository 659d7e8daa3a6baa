"""Seeded, plausible shoppers: as the web traffic API that the poller reads, straight to the stream, or in a file."""
