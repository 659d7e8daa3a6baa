-- Events, sessions and visitors by hour, latest first.
--
-- :from date = 1970-01-01  first day, UTC
-- :to   date = 9999-12-31  last day, UTC, included

SELECT
    concat(year, '-', month, '-', day) AS day,
    hour,
    count(*) AS events,
    count(DISTINCT session_id) AS sessions,
    count(DISTINCT user_id) AS visitors
FROM :table
WHERE :days
GROUP BY year, month, day, hour
ORDER BY year DESC, month DESC, day DESC, hour DESC
