"""AWS as Headrace uses it: one session, one translation of its errors, one retry policy."""
