-- How active users are from day to day, latest first. Of the gold tables.
--
-- :from  date = 1970-01-01  first day, UTC
-- :to    date = 9999-12-31  last day, UTC, included
-- :limit integer = 366      rows

SELECT
    event_date,
    unique_users,
    unique_sessions,
    total_events,
    round(events_per_user, 2) AS avg_events_per_user,
    round(sessions_per_user, 2) AS avg_sessions_per_user,
    round(CAST(total_events AS DOUBLE) / nullif(CAST(unique_sessions AS DOUBLE), 0), 2) AS events_per_session
FROM daily_user_activity
WHERE event_date BETWEEN :from AND :to
ORDER BY event_date DESC
LIMIT :limit
