-- Copies of events, numbered: of the rows of one day with one event id, number 1 stays and the others go.
--
-- The order is total over all columns, so that neither the order of arrival nor the split into files matters:
-- the copy that came first wins, and what remains equal is decided by the columns in their order.
--
-- Input `copies`: the columns of an event, and
--   properties_text  varchar  entries of `properties` by key, each key || chr(1) || value, joined by chr(2)
--   place            bigint   where the row is: decides between rows that are equal in every column

SELECT
    *,
    CASE
        WHEN event_id IS NULL THEN 1
        ELSE row_number() OVER (
            PARTITION BY CAST(event_time AS DATE), event_id
            ORDER BY
                ingest_time NULLS LAST,
                event_time NULLS LAST,
                session_id NULLS LAST,
                user_id NULLS LAST,
                event_type NULLS LAST,
                page_url NULLS LAST,
                referrer_url NULLS LAST,
                product_id NULLS LAST,
                category NULLS LAST,
                currency NULLS LAST,
                device_type NULLS LAST,
                browser NULLS LAST,
                os NULLS LAST,
                user_agent NULLS LAST,
                country NULLS LAST,
                region NULLS LAST,
                city NULLS LAST,
                source NULLS LAST,
                quantity NULLS LAST,
                price NULLS LAST,
                revenue NULLS LAST,
                rating NULLS LAST,
                is_bot NULLS LAST,
                ip NULLS LAST,
                properties_text NULLS LAST,
                schema_version NULLS LAST,
                place
        )
    END AS copy
FROM copies
