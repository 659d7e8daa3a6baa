-- The products that most views went to, and how often a user views them, over all days. Of the gold tables.
--
-- :limit    integer = 10  rows
-- :category string = %    only of categories like this

SELECT
    product_id,
    category,
    view_count,
    unique_viewers,
    round(CAST(view_count AS DOUBLE) / nullif(CAST(unique_viewers AS DOUBLE), 0), 2) AS views_per_user
FROM product_popularity
WHERE coalesce(category, '') LIKE :category
ORDER BY view_count DESC, product_id, category
LIMIT :limit
