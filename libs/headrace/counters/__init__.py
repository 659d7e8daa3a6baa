"""Counts of pages and products that a web page can read in milliseconds."""
