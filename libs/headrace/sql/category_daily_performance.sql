-- How categories do from day to day, latest first. Of the gold tables.
--
-- :from     date = 1970-01-01  first day, UTC
-- :to       date = 9999-12-31  last day, UTC, included
-- :limit    integer = 20       rows
-- :category string = %         only of categories like this

SELECT
    event_date,
    category,
    total_events,
    page_views,
    add_to_carts,
    purchases,
    round(total_revenue, 2) AS revenue,
    round(CAST(purchases AS DOUBLE) / nullif(CAST(page_views AS DOUBLE), 0) * 100, 2) AS conversion_rate_pct
FROM category_daily_performance
WHERE event_date BETWEEN :from AND :to
    AND coalesce(category, '') LIKE :category
ORDER BY event_date DESC, total_revenue DESC, category
LIMIT :limit
