-- Who did what where, by day: the events of silver_events themselves, latest first.
--
-- :from    date = 1970-01-01  first day, UTC
-- :to      date = 9999-12-31  last day, UTC, included
-- :limit   integer = 100      rows
-- :type    string = %         only events of types like this
-- :country string = %         only from countries like this

SELECT
    user_id,
    session_id,
    event_time,
    event_type,
    page_url,
    referrer_url,
    device_type,
    browser,
    ip,
    country,
    city,
    event_date
FROM silver_events
WHERE event_date BETWEEN :from AND :to
    AND event_type LIKE :type
    AND coalesce(country, '') LIKE :country
ORDER BY event_time DESC, event_id
LIMIT :limit
