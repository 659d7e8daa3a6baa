-- What becomes of the views of each product in a category, over all days.
--
-- Reads silver_events: event_type, product_id, category. Products that were only clicked on are left out.
-- A rate is null when what it divides by is 0.

SELECT
    product_id,
    category,
    view_count,
    add_to_cart_count,
    purchase_count,
    CAST(add_to_cart_count AS DOUBLE) / NULLIF(CAST(view_count AS DOUBLE), 0) AS view_to_cart_rate,
    CAST(purchase_count AS DOUBLE) / NULLIF(CAST(add_to_cart_count AS DOUBLE), 0) AS cart_to_purchase_rate,
    CAST(purchase_count AS DOUBLE) / NULLIF(CAST(view_count AS DOUBLE), 0) AS view_to_purchase_rate
FROM (
    SELECT
        product_id,
        category,
        count_if(event_type = 'page_view') AS view_count,
        count_if(event_type = 'add_to_cart') AS add_to_cart_count,
        count_if(event_type = 'purchase') AS purchase_count
    FROM silver_events
    WHERE product_id IS NOT NULL
        AND event_type IN ('page_view', 'add_to_cart', 'purchase')
    GROUP BY product_id, category
) AS counts
