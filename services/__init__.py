"""Long-running services: each a thin wiring of adapters to the library."""
