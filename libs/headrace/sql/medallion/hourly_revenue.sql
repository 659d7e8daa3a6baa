-- Revenue of each hour that had purchases.
--
-- Reads silver_events: event_date, event_time, event_type, revenue, quantity.
-- Revenue in different currencies is added as it is: where a shop sells in several, ask per currency of silver_events.
-- Average: over the purchases that have a revenue. Decimals become doubles by way of text, which all engines round
-- to the nearest; the straight cast is an ulp off in some of them beyond 15 digits.
-- Quantities that add up to more than a bigint holds give null, rather than failing the run.

SELECT
    event_date,
    event_hour,
    total_revenue,
    purchase_count,
    CAST(CAST(total_revenue AS VARCHAR) AS DOUBLE) / NULLIF(CAST(paid_count AS DOUBLE), 0) AS avg_order_value,
    total_items_sold
FROM (
    SELECT
        event_date,
        event_hour,
        CAST(sum(revenue) AS DECIMAL(38, 4)) AS total_revenue,
        count(*) AS purchase_count,
        count(revenue) AS paid_count,
        TRY_CAST(sum(CAST(quantity AS DECIMAL(38, 0))) AS BIGINT) AS total_items_sold
    FROM (
        SELECT
            event_date,
            CAST(hour(event_time) AS INTEGER) AS event_hour,
            revenue,
            quantity
        FROM silver_events
        WHERE event_type = 'purchase'
    ) AS purchases
    GROUP BY event_date, event_hour
) AS sums
