-- Users and sessions day by day.
--
-- Reads silver_events: event_date, user_id, session_id. Events without a user or session count as events only; a session
-- that goes on past midnight counts on both days. An average is null on a day without users.
-- Sessions are grouped first: a user has few and a session one user or few, so the distinct counts see few rows.

SELECT
    event_date,
    unique_users,
    unique_sessions,
    total_events,
    CAST(total_events AS DOUBLE) / NULLIF(CAST(unique_users AS DOUBLE), 0) AS events_per_user,
    CAST(unique_sessions AS DOUBLE) / NULLIF(CAST(unique_users AS DOUBLE), 0) AS sessions_per_user
FROM (
    SELECT
        event_date,
        count(DISTINCT user_id) AS unique_users,
        count(DISTINCT session_id) AS unique_sessions,
        CAST(sum(events) AS BIGINT) AS total_events
    FROM (
        SELECT event_date, session_id, user_id, count(*) AS events
        FROM silver_events
        GROUP BY event_date, session_id, user_id
    ) AS sessions
    GROUP BY event_date
) AS days
