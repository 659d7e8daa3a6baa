"""The five questions of the reference, asked of gold and, as somebody without gold would, of bronze."""

from collections.abc import Mapping

_BRONZE = """WITH bronze AS (
  SELECT user_id, session_id, event_type, product_id, category,
    from_unixtime(CAST("timestamp" AS DOUBLE) / 1000) AS event_time,
    CAST(quantity AS BIGINT) AS quantity, CAST(price AS DECIMAL(18, 4)) * CAST(quantity AS BIGINT) AS revenue
  FROM raw_events WHERE {part})
"""

GOLD: Mapping[str, str] = {
    "product_funnel": """
SELECT product_id, category, view_count, add_to_cart_count, purchase_count,
  ROUND(view_to_cart_rate * 100, 2) AS view_to_cart_pct, ROUND(cart_to_purchase_rate * 100, 2) AS cart_to_purchase_pct,
  ROUND(view_to_purchase_rate * 100, 2) AS overall_conversion_pct
FROM product_funnel ORDER BY view_count DESC LIMIT 10""",
    "hourly_revenue": """
SELECT event_date, event_hour, ROUND(total_revenue, 2) AS total_revenue, purchase_count,
  ROUND(avg_order_value, 2) AS avg_order_value, total_items_sold
FROM hourly_revenue ORDER BY event_date DESC, event_hour DESC LIMIT 20""",
    "product_popularity": """
SELECT product_id, category, view_count, unique_viewers,
  ROUND(CAST(view_count AS DOUBLE) / CAST(unique_viewers AS DOUBLE), 2) AS views_per_user
FROM product_popularity ORDER BY view_count DESC LIMIT 10""",
    "category_daily_performance": """
SELECT event_date, category, total_events, page_views, add_to_carts, purchases, ROUND(total_revenue, 2) AS revenue,
  ROUND(CAST(purchases AS DOUBLE) / CAST(page_views AS DOUBLE) * 100, 2) AS conversion_rate_pct
FROM category_daily_performance ORDER BY event_date DESC, total_revenue DESC LIMIT 20""",
    "daily_user_activity": """
SELECT event_date, unique_users, unique_sessions, total_events, ROUND(events_per_user, 2) AS avg_events_per_user,
  ROUND(sessions_per_user, 2) AS avg_sessions_per_user,
  ROUND(CAST(total_events AS DOUBLE) / CAST(unique_sessions AS DOUBLE), 2) AS events_per_session
FROM daily_user_activity ORDER BY event_date DESC""",
}
"""Word for word those of reference 004."""

_ON_BRONZE: Mapping[str, str] = {
    "product_funnel": """
SELECT product_id, category, count_if(event_type = 'page_view') AS view_count,
  count_if(event_type = 'add_to_cart') AS add_to_cart_count, count_if(event_type = 'purchase') AS purchase_count
FROM bronze WHERE product_id IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10""",
    "hourly_revenue": """
SELECT date(event_time) AS event_date, hour(event_time) AS event_hour, sum(revenue) AS total_revenue,
  count(*) AS purchase_count, sum(quantity) AS total_items_sold
FROM bronze WHERE event_type = 'purchase' GROUP BY 1, 2 ORDER BY 1 DESC, 2 DESC LIMIT 20""",
    "product_popularity": """
SELECT product_id, category, count(*) AS view_count, count(DISTINCT user_id) AS unique_viewers
FROM bronze WHERE event_type = 'page_view' AND product_id IS NOT NULL GROUP BY 1, 2 ORDER BY 3 DESC LIMIT 10""",
    "category_daily_performance": """
SELECT date(event_time) AS event_date, category, count(*) AS total_events,
  count_if(event_type = 'page_view') AS page_views, count_if(event_type = 'add_to_cart') AS add_to_carts,
  count_if(event_type = 'purchase') AS purchases, sum(IF(event_type = 'purchase', revenue)) AS total_revenue
FROM bronze GROUP BY 1, 2 ORDER BY 1 DESC, 7 DESC LIMIT 20""",
    "daily_user_activity": """
SELECT date(event_time) AS event_date, count(DISTINCT user_id) AS unique_users,
  count(DISTINCT session_id) AS unique_sessions, count(*) AS total_events
FROM bronze GROUP BY 1 ORDER BY 1 DESC""",
}


def on_bronze(table: str, part: str) -> str:
    """The question that gold's `table` answers, asked of `raw_events` where `part` holds (a condition)."""
    return _BRONZE.format(part=part) + _ON_BRONZE[table]
