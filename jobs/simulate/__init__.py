"""Seeded, plausible shoppers: as a web traffic API for the poller, straight to the stream, in a file, or in bulk."""
