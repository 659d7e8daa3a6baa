"""`python -m services.partitioner`."""

from headrace.runtime import run_service
from services.partitioner.app import main

if __name__ == "__main__":
    run_service("partitioner", main)
