-- Every table of the record. Placeholders in braces are filled by store.py; statements end with a line of only ';'.
-- Engines: ReplacingMergeTree with the row's own id last in the key is the second net under the insert tokens
-- (what a token cannot cover, power loss and expired windows, a merge removes). The deduplication window is off by
-- default in ClickHouse and therefore set on every table that receives inserts.

CREATE DATABASE IF NOT EXISTS {database}
;

-- One row per call: a request and its answer, whatever became of it. Its columns stand in call_row.py. Payloads are as recorded (see `payloads` in
-- sidecar.yaml): detected values are replaced by their kind and fingerprint. Lists never select request and response.
CREATE TABLE IF NOT EXISTS {database}.calls (
{calls_columns}
    INDEX ix_call call_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_session session TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_trace trace_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_severity max_severity TYPE minmax GRANULARITY 1
) ENGINE = ReplacingMergeTree PARTITION BY toDate(ts) ORDER BY (server, tool, ts, call_id)
TTL toDateTime(ts) + INTERVAL {keep_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
;

-- A store of an earlier version gets the columns it lacks when its collector starts, and keeps its rows.
ALTER TABLE {database}.calls
{calls_additions}
;

-- One row per rule, message, kind and distinct value. No value: only its kind, place, keyed fingerprint and masked preview.
CREATE TABLE IF NOT EXISTS {database}.findings (
    ts DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    finding_id UUID, call_id UUID,
    node LowCardinality(String),
    session String CODEC(ZSTD(1)), user LowCardinality(String),
    server LowCardinality(String), method LowCardinality(String), tool LowCardinality(String),
    direction LowCardinality(String),                        -- request, response: where the value was going
    rule LowCardinality(String), policy LowCardinality(String), policy_version LowCardinality(String),
    title LowCardinality(String),
    severity LowCardinality(String),
    mode LowCardinality(String),                             -- enforce, monitor
    action LowCardinality(String),
    kind LowCardinality(String),                             -- the detector's kind, or access, rate, expr, match, error
    path String CODEC(ZSTD(1)), fingerprint String CODEC(ZSTD(1)), preview String CODEC(ZSTD(1)),
    confidence Float32, count UInt32,
    INDEX ix_call call_id TYPE bloom_filter(0.01) GRANULARITY 1,
    INDEX ix_fingerprint fingerprint TYPE bloom_filter(0.01) GRANULARITY 1
) ENGINE = ReplacingMergeTree PARTITION BY toDate(ts) ORDER BY (rule, ts, finding_id)
TTL toDateTime(ts) + INTERVAL {keep_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1, fsync_after_insert = 1, fsync_part_directory = 1
;

-- One row per attempt to tell somebody, with its outcome.
CREATE TABLE IF NOT EXISTS {database}.alerts (
    ts DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    alert_id UUID, finding_id UUID, call_id UUID,
    node LowCardinality(String),
    rule LowCardinality(String), severity LowCardinality(String),
    server LowCardinality(String), tool LowCardinality(String),
    channel LowCardinality(String),
    state LowCardinality(String),                            -- sent, failed, dropped
    attempts UInt8, latency_ms UInt32, error String
) ENGINE = ReplacingMergeTree PARTITION BY toDate(ts) ORDER BY (channel, ts, alert_id)
TTL toDateTime(ts) + INTERVAL {keep_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
;

-- The text of every policy version that ever judged, kept as long as the database: the auditor's "which text was it".
CREATE TABLE IF NOT EXISTS {database}.policies (
    ts DateTime64(6, 'UTC'), node LowCardinality(String),
    version String, path String, text String CODEC(ZSTD(3))
) ENGINE = ReplacingMergeTree ORDER BY (version, path)
SETTINGS non_replicated_deduplication_window = 10000
;

-- The history of every tool's and prompt's definition: one row when it is first seen, differs, or is approved. Never ended.
CREATE TABLE IF NOT EXISTS {database}.tools (
    ts DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)),
    node LowCardinality(String), server LowCardinality(String),
    kind LowCardinality(String),                             -- tool, prompt
    tool LowCardinality(String),
    event LowCardinality(String),                            -- first (with its server), new, changed, approved
    digest String, previous_digest String,                   -- SHA-256 of what counts of it; of the accepted one before
    definition String CODEC(ZSTD(3)),                        -- as recorded: detected values replaced by kind and fingerprint
    diff String CODEC(ZSTD(3)),                              -- a line for each difference from the accepted one
    hidden String CODEC(ZSTD(3)),                            -- what of it people do not see, in words
    approved UInt8,                                          -- taken at first sight, or by a person
    approved_by LowCardinality(String)                       -- who; empty at first sight
) ENGINE = ReplacingMergeTree ORDER BY (server, kind, tool, ts, digest, event)
SETTINGS non_replicated_deduplication_window = 10000, fsync_after_insert = 1, fsync_part_directory = 1
;

-- What happened to the sidecar itself: starts, stops, policy reloads and their failures, losses, refusals.
CREATE TABLE IF NOT EXISTS {database}.health (
    ts DateTime64(6, 'UTC') CODEC(DoubleDelta, ZSTD(1)), health_id UUID,
    node LowCardinality(String), process LowCardinality(String),
    metric LowCardinality(String), value Float64, detail String
) ENGINE = ReplacingMergeTree PARTITION BY toYYYYMM(ts) ORDER BY (metric, ts, health_id)
TTL toDateTime(ts) + INTERVAL {keep_days} DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
;

-- Calls by minute, for dashboards over long ranges. Fed by a view, so a batch that is sent twice under one token counts once
-- (deduplicate_blocks_in_dependent_materialized_views is always sent with an insert).
CREATE TABLE IF NOT EXISTS {database}.calls_1m (
    minute DateTime('UTC') CODEC(DoubleDelta, ZSTD(1)),
    server LowCardinality(String), tool LowCardinality(String), method LowCardinality(String),
    status LowCardinality(String), verdict LowCardinality(String),
    calls SimpleAggregateFunction(sum, UInt64),
    request_bytes SimpleAggregateFunction(sum, UInt64), response_bytes SimpleAggregateFunction(sum, UInt64),
    duration AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), UInt64),
    overhead AggregateFunction(quantilesTDigest(0.5, 0.95, 0.99), UInt64)
) ENGINE = AggregatingMergeTree PARTITION BY toYYYYMM(minute) ORDER BY (server, tool, method, status, verdict, minute)
TTL minute + INTERVAL 400 DAY DELETE
SETTINGS non_replicated_deduplication_window = 10000, ttl_only_drop_parts = 1
;

CREATE MATERIALIZED VIEW IF NOT EXISTS {database}.calls_1m_mv TO {database}.calls_1m AS
SELECT toStartOfMinute(toDateTime(ts, 'UTC')) AS minute, server, tool, method, status, verdict,
    count() AS calls, sum(c.request_bytes) AS request_bytes, sum(c.response_bytes) AS response_bytes,
    quantilesTDigestState(0.5, 0.95, 0.99)(duration_us) AS duration,
    quantilesTDigestState(0.5, 0.95, 0.99)(overhead_us) AS overhead
FROM {database}.calls AS c GROUP BY minute, server, tool, method, status, verdict
;
