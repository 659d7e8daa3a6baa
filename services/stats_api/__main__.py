"""`python -m services.stats_api`."""

from headrace.runtime import run_service
from services.stats_api.app import main

if __name__ == "__main__":
    run_service("stats_api", main)
