"""Which of Athena's functions exist here, and what each is in DuckDB.

A function is only reachable through one of these tables: `SAME` means the same in both engines, `RENAMED` is the same
under another name, `MACROS` closes a difference, and `rewrite` builds what needs the syntax tree. Any other name fails
as FUNCTION_NOT_FOUND, never as a wrong answer.

The macros use two habits of DuckDB: `typeof` is known when a query is bound, so that the CASE around it costs nothing,
and `cast_to_type(value, sample)` looks at the sample's type without computing it.
"""

import re

SAME = frozenset({
    # conditional
    "coalesce", "grouping", "nullif", "try", "uuid",
    # text
    "concat_ws", "length", "lower", "lpad", "ltrim", "repeat", "replace", "reverse", "rpad",
    "rtrim", "starts_with", "strpos", "translate", "trim", "upper", "chr",
    # numbers
    "abs", "acos", "asin", "atan", "atan2", "cbrt", "ceil", "ceiling", "cos", "degrees", "exp", "floor", "ln", "log2",
    "log10", "mod", "pi", "pow", "power", "radians", "random", "sign", "sin", "sqrt", "tan",
    # time
    "now", "year", "quarter", "month", "week", "day", "hour", "minute", "second",
    # aggregates
    "any_value", "array_agg", "bool_and", "bool_or", "corr", "count", "covar_pop", "covar_samp",
    "max", "min", "regr_intercept", "regr_slope", "skewness", "stddev", "stddev_pop", "stddev_samp", "var_pop",
    "var_samp", "variance",
    # windows
    "cume_dist", "dense_rank", "first_value", "lag", "last_value", "lead", "nth_value", "ntile", "percent_rank",
    "rank", "row_number",
    # text to many
    "regexp_extract_all",
    # collections
    "flatten", "map", "map_from_entries", "map_keys", "map_values", "row",
})  # fmt: skip

RENAMED = {
    "approx_distinct": "approx_count_distinct",
    "approx_percentile": "approx_quantile",
    "arbitrary": "any_value",
    "array_distinct": "list_distinct",
    "array_max": "list_max",
    "array_min": "list_min",
    "char_length": "length",
    "character_length": "length",
    "contains": "list_contains",
    "day_of_month": "day",
    "day_of_week": "isodow",
    "day_of_year": "dayofyear",
    "dow": "isodow",
    "doy": "dayofyear",
    "every": "bool_and",
    "filter": "list_filter",
    "is_nan": "isnan",
    "levenshtein_distance": "levenshtein",
    "listagg": "string_agg",
    "max_by": "arg_max_null",
    "min_by": "arg_min_null",
    "rand": "random",
    "split": "str_split",
    "transform": "list_transform",
    "truncate": "trunc",
    "week_of_year": "week",
    "year_of_week": "isoyear",
}

MACROS = r"""
CREATE MACRO athena_divide(a, b) AS
  CASE WHEN typeof(a + b) IN ('TINYINT', 'SMALLINT', 'INTEGER', 'BIGINT', 'HUGEINT', 'UBIGINT')
    THEN cast_to_type(CAST(a AS HUGEINT) // CAST(b AS HUGEINT), a + b)
    ELSE cast_to_type(CAST(a AS DOUBLE) / b, a + b) END;

CREATE MACRO athena_double_text(t) AS
  CASE t WHEN 'nan' THEN 'NaN' WHEN 'inf' THEN 'Infinity' WHEN '-inf' THEN '-Infinity' ELSE t END;
CREATE MACRO athena_time_text(t) AS
  left(t, 19) || '.' || rpad(regexp_extract(t, '\.(\d{1,3})', 1), 3, '0');
CREATE MACRO athena_varchar(x) AS CASE
  WHEN typeof(x) = 'TIMESTAMP WITH TIME ZONE' THEN athena_time_text(CAST(x AS VARCHAR)) || ' UTC'
  WHEN starts_with(typeof(x), 'TIMESTAMP') THEN athena_time_text(CAST(x AS VARCHAR))
  WHEN typeof(x) IN ('DOUBLE', 'FLOAT') THEN athena_double_text(CAST(x AS VARCHAR))
  ELSE CAST(x AS VARCHAR) END;

CREATE MACRO athena_substr(s, i) AS CASE WHEN i = 0 THEN '' ELSE substring(s, i) END,
  (s, i, n) AS CASE WHEN i = 0 THEN '' ELSE substring(s, i, n) END;
CREATE MACRO athena_split_part(s, d, i) AS
  CASE WHEN i < 1 THEN error('INVALID_FUNCTION_ARGUMENT: Index must be greater than zero')
    WHEN len(str_split(s, d)) >= i THEN split_part(s, d, i) END;
CREATE MACRO athena_regexp_like(s, p) AS regexp_matches(s, p);
CREATE MACRO athena_regexp_extract(s, p) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p) END,
  (s, p, g) AS CASE WHEN regexp_matches(s, p) THEN regexp_extract(s, p, g) END;
CREATE MACRO athena_regexp_replace(s, p) AS regexp_replace(s, p, '', 'g'),
  (s, p, r) AS regexp_replace(s, p, regexp_replace(r, '\$(\d)', '\\\1', 'g'), 'g');
CREATE MACRO athena_ends_with(s, t) AS suffix(s, t);
CREATE MACRO athena_codepoint(s) AS unicode(s);

CREATE MACRO athena_url_authority(u) AS regexp_extract(u, '^[a-zA-Z][a-zA-Z0-9+.-]*://([^/?#]*)', 1);
CREATE MACRO athena_url_extract_protocol(u) AS nullif(regexp_extract(u, '^([a-zA-Z][a-zA-Z0-9+.-]*):', 1), '');
CREATE MACRO athena_url_extract_host(u) AS
  nullif(regexp_extract(athena_url_authority(u), '^(?:[^@]*@)?(\[[^\]]*\]|[^:]*)', 1), '');
CREATE MACRO athena_url_extract_port(u) AS TRY_CAST(regexp_extract(athena_url_authority(u), ':(\d+)$', 1) AS BIGINT);
CREATE MACRO athena_url_extract_path(u) AS
  url_decode(regexp_extract(u, '^(?:[a-zA-Z][a-zA-Z0-9+.-]*:)?(?://[^/?#]*)?([^?#]*)', 1));
CREATE MACRO athena_url_extract_query(u) AS nullif(regexp_extract(u, '^[^?#]*\?([^#]*)', 1), '');
CREATE MACRO athena_url_extract_fragment(u) AS nullif(regexp_extract(u, '#(.*)$', 1), '');
CREATE MACRO athena_url_extract_parameter(u, k) AS (
    list_transform(
      list_filter(str_split(athena_url_extract_query(u), '&'), LAMBDA kv: url_decode(split_part(kv, '=', 1)) = k),
      LAMBDA kv: url_decode(replace(regexp_extract(kv, '=(.*)$', 1), '+', ' ')))[1]);
CREATE MACRO athena_url_decode(s) AS url_decode(replace(s, '+', ' '));
CREATE MACRO athena_url_encode(s) AS replace(url_encode(s), '%20', '+');

CREATE MACRO athena_json_extract_scalar(j, p) AS
  CASE WHEN json_valid(CAST(j AS VARCHAR)) AND json_type(CAST(j AS VARCHAR), p) NOT IN ('OBJECT', 'ARRAY', 'NULL')
    THEN json_extract_string(CAST(j AS VARCHAR), p) END;
CREATE MACRO athena_json_extract(j, p) AS
  CASE WHEN json_valid(CAST(j AS VARCHAR)) THEN json_extract(CAST(j AS VARCHAR), p) END;
CREATE MACRO athena_json_parse(s) AS json(s);
CREATE MACRO athena_json_format(j) AS CAST(j AS VARCHAR);
CREATE MACRO athena_json_array_length(j) AS
  CASE WHEN json_valid(CAST(j AS VARCHAR)) AND json_type(CAST(j AS VARCHAR)) = 'ARRAY'
    THEN CAST(json_array_length(CAST(j AS VARCHAR)) AS BIGINT) END;

CREATE MACRO athena_round(x) AS cast_to_type(round(x), x), (x, n) AS cast_to_type(round(x, n), x);
CREATE MACRO athena_log(b, x) AS ln(x) / ln(b);
CREATE MACRO athena_infinity() AS CAST('inf' AS DOUBLE);
CREATE MACRO athena_nan() AS CAST('nan' AS DOUBLE);

CREATE MACRO athena_date(x) AS CAST(x AS DATE);
CREATE MACRO athena_from_unixtime(s) AS to_timestamp(round(CAST(s AS DOUBLE), 3));
CREATE MACRO athena_to_unixtime(t) AS epoch(t);
CREATE MACRO athena_from_iso8601_timestamp(s) AS CAST(s AS TIMESTAMPTZ);
CREATE MACRO athena_from_iso8601_date(s) AS CAST(s AS DATE);
CREATE MACRO athena_last_day_of_month(t) AS last_day(t);
CREATE MACRO athena_millisecond(t) AS CAST(extract('millisecond' FROM t) AS BIGINT) % 1000;
CREATE MACRO athena_at_timezone(t, z) AS timezone(z, CAST(t AS TIMESTAMPTZ));
CREATE MACRO athena_localtimestamp() AS CAST(now() AS TIMESTAMP);

CREATE MACRO athena_element_at(c, k) AS c[k];
CREATE MACRO athena_array_join(a, d) AS array_to_string(a, d),
  (a, d, n) AS array_to_string(list_transform(a, LAMBDA x: coalesce(CAST(x AS VARCHAR), n)), d);
CREATE MACRO athena_array_sort(a) AS list_sort(a, 'ASC', 'NULLS LAST');
CREATE MACRO athena_array_position(a, x) AS coalesce(CAST(list_position(a, x) AS BIGINT), 0);
CREATE MACRO athena_arrays_overlap(a, b) AS list_has_any(a, b);
CREATE MACRO athena_array_intersect(a, b) AS list_intersect(a, b);
CREATE MACRO athena_slice(a, i, n) AS list_slice(a, i, i + n - 1);
CREATE MACRO athena_sequence(a, b) AS generate_series(a, b),
  (a, b, s) AS cast_to_type(generate_series(a, b, s), [a]);
CREATE MACRO athena_to_utf8(s) AS encode(s);
CREATE MACRO athena_from_utf8(b) AS decode(b);
CREATE MACRO athena_to_hex(b) AS upper(hex(b));
CREATE MACRO athena_from_hex(s) AS unhex(s);
CREATE MACRO athena_to_base64(b) AS to_base64(b);
CREATE MACRO athena_from_base64(s) AS from_base64(s);
CREATE MACRO athena_md5(b) AS unhex(md5(b));
CREATE MACRO athena_sha256(b) AS unhex(sha256(b));
"""

_MACRO_NAMES = frozenset(re.findall(r"CREATE MACRO (athena_\w+)", MACROS))


def duckdb_name(name: str) -> str | None:
    """The DuckDB function or macro behind Athena's function `name` (lower case); None when there is none."""
    if name in RENAMED:
        return RENAMED[name]
    if f"athena_{name}" in _MACRO_NAMES:
        return f"athena_{name}"
    return name if name in SAME else None
