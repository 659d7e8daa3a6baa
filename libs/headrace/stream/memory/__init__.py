"""A Kinesis in memory: its shards, its limits and its bad days, on an injected clock, without threads or chance."""

from headrace.stream.memory.limits import UNLIMITED, Limits
from headrace.stream.memory.service import Disturbance
from headrace.stream.memory.stream import MemoryStream

__all__ = ["UNLIMITED", "Disturbance", "Limits", "MemoryStream"]
