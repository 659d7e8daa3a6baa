"""`headrace job simulate`: apart from the other jobs, so that it starts without what they need."""

from cli.cloud import cloud_for
from jobs.simulate import cli
from jobs.simulate.bulk import cli as bulk_cli

app = bulk_cli.add_to(cli.app, cloud_for)
