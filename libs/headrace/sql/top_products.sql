-- The products viewed most, and what became of the views.
--
-- :from     date = 1970-01-01  first day, UTC
-- :to       date = 9999-12-31  last day, UTC, included
-- :limit    integer = 10       rows
-- :category string = %         only of categories like this

SELECT
    product_id,
    count_if(event_type = 'page_view') AS views,
    count_if(event_type = 'add_to_cart') AS add_to_carts,
    count_if(event_type = 'purchase') AS purchases,
    coalesce(sum(CASE WHEN event_type = 'purchase' THEN quantity END), 0) AS quantity
FROM :table
WHERE product_id IS NOT NULL
    AND coalesce(category, '') LIKE :category
    AND :days
GROUP BY product_id
ORDER BY views DESC, purchases DESC, product_id
LIMIT :limit
