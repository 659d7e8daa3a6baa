-- Lines of bronze → columns of silver, for the lines that are plainly good; the others are only marked.
--
-- :strict         integer  1: only the event types that are listed below, 0: any in lower snake case
-- :max_future     integer  µs that an event may be ahead of its arrival
-- :max_age        integer  µs that it may be behind
-- :schema_version integer  of events that name none
--
-- Input, as whoever reads the lines offers it: raw_events, a row per line that is not blank.
--   Columns that are texts of the event: as they are; and geo, a row of country, region, city.
--   All others as they are spelt in JSON, texts in their quotes: timestamp, quantity, price, revenue, rating, is_bot,
--   properties, ingest_time, schema_version.
--   misfit boolean: the line is no object, or what should be a text is none.
--   arrived bigint: µs since 1970 UTC; NULL when nobody knows.
--
-- Output: the columns of silver in their order. event_time and ingest_time are µs since 1970 UTC, properties is still
-- JSON, and what has to be looked up is missing (user agent, network of the address, unknown visitor). A row that is not
-- `doubtful` is what the decoder of the stream makes of its line; of a row that is, nothing else means anything.
--
-- A whole number is good when it is spelt as it would be written again: then all engines read the same. An amount below
-- 10¹¹ keeps its four decimals as a double, and one with more of them is not the double that its decimal is.
SELECT
  event_id,
  session_id,
  user_id,
  event_type,
  event_time,
  page_url,
  referrer_url,
  product_id,
  category,
  currency,
  device_type,
  browser,
  os,
  user_agent,
  COALESCE(geo_country, country) AS country,
  COALESCE(geo_region, region) AS region,
  COALESCE(geo_city, city) AS city,
  source,
  quantity,
  price,
  COALESCE(revenue, earned) AS revenue,
  rating,
  is_bot,
  ip,
  properties,
  COALESCE(ingest_time, arrived) AS ingest_time,
  COALESCE(schema_version, :schema_version) AS schema_version,
  NOT COALESCE(
    NOT misfit
    AND session_id <> ''
    AND CASE
      WHEN event_type IN (
        'page_view', 'click', 'search', 'add_to_cart', 'remove_from_cart', 'checkout_started', 'purchase',
        'document_view', 'document_download', 'qr_scan', 'login', 'signup', 'custom'
      ) THEN TRUE
      WHEN :strict = 1 THEN FALSE
      ELSE REGEXP_LIKE(event_type, '^[a-z][a-z0-9_]{0,63}\z')
    END
    AND CAST(time_number AS VARCHAR) = time_text
    AND event_time < COALESCE(arrived + :max_future, event_time + 1)
    AND event_time > COALESCE(arrived - :max_age, event_time - 1)
    AND (ingest_text IS NULL OR (CAST(ingest_number AS VARCHAR) = ingest_text AND ingest_time >= 0))
    AND (quantity_text IS NULL OR CAST(quantity AS VARCHAR) = quantity_text)
    AND (price_text IS NULL OR (ABS(price_number) < 1E11 AND CAST(price AS DOUBLE) = price_number))
    AND (revenue_text IS NULL OR (ABS(revenue_number) < 1E11 AND CAST(revenue AS DOUBLE) = revenue_number))
    AND (rating_text IS NULL OR ABS(rating) < 1E300)
    AND (is_bot_text IS NULL OR is_bot IS NOT NULL)
    AND (version_text IS NULL OR (CAST(schema_version AS VARCHAR) = version_text AND schema_version >= 0))
    AND NOT overflown,
    FALSE
  ) AS doubtful
FROM (
  SELECT
    *,
    CASE WHEN event_type = 'purchase' AND revenue_text IS NULL AND price IS NOT NULL AND quantity IS NOT NULL
      THEN TRY_CAST(price * quantity AS DECIMAL(18, 4)) IS NULL ELSE FALSE END AS overflown,
    CASE WHEN event_type = 'purchase' AND revenue_text IS NULL
      THEN TRY_CAST(price * quantity AS DECIMAL(18, 4)) END AS earned
  FROM (
    SELECT
      *,
      CASE WHEN time_number BETWEEN 0 AND 99999999999 THEN time_number * 1000000
        WHEN time_number BETWEEN 100000000000 AND 253402300799999 THEN time_number * 1000 END AS event_time,
      CASE WHEN ingest_number BETWEEN 0 AND 99999999999 THEN ingest_number * 1000000
        WHEN ingest_number BETWEEN 100000000000 AND 253402300799999 THEN ingest_number * 1000 END AS ingest_time,
      TRY_CAST(price_number AS DECIMAL(18, 4)) AS price,
      TRY_CAST(revenue_number AS DECIMAL(18, 4)) AS revenue
    FROM (
      SELECT
        event_id,
        session_id,
        user_id,
        event_type,
        page_url,
        referrer_url,
        product_id,
        category,
        currency,
        device_type,
        browser,
        os,
        user_agent,
        country,
        region,
        city,
        geo.country AS geo_country,
        geo.region AS geo_region,
        geo.city AS geo_city,
        source,
        ip,
        properties,
        "timestamp" AS time_text,
        TRY_CAST("timestamp" AS BIGINT) AS time_number,
        ingest_time AS ingest_text,
        TRY_CAST(ingest_time AS BIGINT) AS ingest_number,
        quantity AS quantity_text,
        TRY_CAST(quantity AS BIGINT) AS quantity,
        price AS price_text,
        TRY_CAST(price AS DOUBLE) AS price_number,
        revenue AS revenue_text,
        TRY_CAST(revenue AS DOUBLE) AS revenue_number,
        rating AS rating_text,
        TRY_CAST(rating AS DOUBLE) AS rating,
        is_bot AS is_bot_text,
        CASE is_bot WHEN 'true' THEN TRUE WHEN 'false' THEN FALSE END AS is_bot,
        schema_version AS version_text,
        TRY_CAST(schema_version AS INTEGER) AS schema_version,
        misfit,
        arrived
      FROM raw_events
    ) AS spelt
  ) AS amounts
) AS typed
