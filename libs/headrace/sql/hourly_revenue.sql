-- The hours with most revenue, all currencies added as they are. Of the gold tables.
--
-- :from  date = 1970-01-01  first day, UTC
-- :to    date = 9999-12-31  last day, UTC, included
-- :limit integer = 20       rows

SELECT
    event_date,
    event_hour,
    round(total_revenue, 2) AS total_revenue,
    purchase_count,
    round(avg_order_value, 2) AS avg_order_value,
    total_items_sold
FROM hourly_revenue
WHERE event_date BETWEEN :from AND :to
ORDER BY total_revenue DESC, event_date DESC, event_hour DESC
LIMIT :limit
