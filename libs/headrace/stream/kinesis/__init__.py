"""Amazon Kinesis Data Streams: data plane spoken by hand over aiohttp, control plane through aiobotocore."""
