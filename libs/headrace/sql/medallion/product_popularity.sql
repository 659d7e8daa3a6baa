-- Views and viewers of each product in a category, over all days.
--
-- Reads silver_events: event_type, product_id, category, user_id. A user counts once, however many views; one that views
-- a product under two categories counts in both rows. Views without a user count as views only.

SELECT
    product_id,
    category,
    count(*) AS view_count,
    count(DISTINCT user_id) AS unique_viewers
FROM silver_events
WHERE product_id IS NOT NULL
    AND event_type = 'page_view'
GROUP BY product_id, category
