"""Named queries: SQL files in the Athena dialect, and what fills in their parameters."""
