"""The `headrace` command: the only place that knows every service and job."""
