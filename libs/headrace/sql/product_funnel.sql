-- What becomes of the views of the products viewed most, in percent, over all days. Of the gold tables.
--
-- :limit    integer = 10  rows
-- :category string = %    only of categories like this

SELECT
    product_id,
    category,
    view_count,
    add_to_cart_count,
    purchase_count,
    round(view_to_cart_rate * 100, 2) AS view_to_cart_pct,
    round(cart_to_purchase_rate * 100, 2) AS cart_to_purchase_pct,
    round(view_to_purchase_rate * 100, 2) AS overall_conversion_pct
FROM product_funnel
WHERE coalesce(category, '') LIKE :category
ORDER BY view_count DESC, product_id, category
LIMIT :limit
