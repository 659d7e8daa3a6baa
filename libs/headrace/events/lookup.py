"""What the rest of an event tells of a visitor, by column: each distinct value is looked up once."""

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from headrace.events.columns import by_distinct, networks
from headrace.events.enrich import Enricher

Columns = dict[str, Any]
"""Arrow arrays of one length, by column name."""


def add_lookups(columns: Columns, enricher: Enricher) -> None:
    """Cut addresses to their networks; fill in what user agents and networks tell. Given values win."""
    columns["ip"] = networks(columns["ip"])
    _add_agents(columns, enricher)
    if enricher.knows_countries and columns["country"].null_count:
        countries = by_distinct(columns["ip"], enricher.country, pa.string())
        columns["country"] = pc.coalesce(columns["country"], countries)


def _add_agents(columns: Columns, enricher: Enricher) -> None:
    coded = columns["user_agent"].dictionary_encode()
    agents = [enricher.agent(text) for text in coded.dictionary.to_pylist()]
    for name in ("device_type", "browser", "os", "is_bot"):
        if agents and columns[name].null_count:
            told = pa.array([getattr(agent, name) for agent in agents], columns[name].type)
            columns[name] = pc.coalesce(columns[name], told.take(coded.indices))
