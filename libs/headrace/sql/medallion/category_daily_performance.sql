-- Each category day by day; events without category are a row of category null.
--
-- Reads silver_events: event_date, category, event_type, revenue. So total_events adds up to all events. Revenue is that
-- of purchases, as in hourly_revenue; in different currencies it is added as it is. Null when no purchase had one.

SELECT
    event_date,
    category,
    count(*) AS total_events,
    count_if(event_type = 'page_view') AS page_views,
    count_if(event_type = 'add_to_cart') AS add_to_carts,
    count_if(event_type = 'purchase') AS purchases,
    CAST(sum(CASE WHEN event_type = 'purchase' THEN revenue END) AS DECIMAL(38, 4)) AS total_revenue
FROM silver_events
GROUP BY event_date, category
