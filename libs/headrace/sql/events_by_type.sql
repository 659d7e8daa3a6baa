-- Events, sessions and visitors by type, most events first.
--
-- :from date = 1970-01-01  first day, UTC
-- :to   date = 9999-12-31  last day, UTC, included

SELECT
    event_type,
    count(*) AS events,
    count(DISTINCT session_id) AS sessions,
    count(DISTINCT user_id) AS visitors
FROM :table
WHERE :days
GROUP BY event_type
ORDER BY events DESC, event_type
