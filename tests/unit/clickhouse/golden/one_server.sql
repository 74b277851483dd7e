-- the database of a workspace
CREATE DATABASE IF NOT EXISTS `ws_1`;

-- … the database dropped
DROP DATABASE IF EXISTS `ws_1` SYNC;

-- a data source, with an index
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = MergeTree PARTITION BY (toYYYYMM(at)) ORDER BY (at, id) TTL at + toIntervalDay(30) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000;

-- its quarantine
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1_quarantine` (`c__error_column` Array(String), `c__error` Array(String), `c__import_id` Nullable(String), `id` Nullable(String), `at` Nullable(String), `name` Nullable(String), `n` Nullable(String), `v` Nullable(String), `s` Nullable(String), `insertion_date` DateTime DEFAULT now(), `c__raw` Nullable(String)) ENGINE = MergeTree PARTITION BY (toYYYYMM(insertion_date)) ORDER BY (insertion_date) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000;

-- a data source of engine MergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = MergeTree PARTITION BY (toYYYYMM(at)) ORDER BY (at, id) TTL at + toIntervalDay(30) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000;

-- a data source of engine ReplacingMergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = ReplacingMergeTree(`v`) ORDER BY (name, id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000;

-- a data source of engine SummingMergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = SummingMergeTree((`n`)) ORDER BY (toDate(at), name) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000;

-- a data source of engine AggregatingMergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = AggregatingMergeTree ORDER BY tuple() SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000;

-- a data source of engine CollapsingMergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = CollapsingMergeTree(`s`) ORDER BY (id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000;

-- a data source of engine VersionedCollapsingMergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = VersionedCollapsingMergeTree(`s`, `v`) ORDER BY (id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 10000;

-- a data source of engine Null
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = Null;

-- tinybird.pipe_stats_rt
CREATE TABLE IF NOT EXISTS `ws_1`.`service_pipe_stats_rt` (`start_datetime` DateTime, `pipe_id` String, `pipe_name` String, `token` String, `token_name` String, `duration` Float32, `read_bytes` UInt64, `read_rows` UInt64, `cpu_time` Float32, `result_rows` UInt64, `url` Nullable(String), `error` UInt8, `error_message` Nullable(String), `status_code` Int32, `request_id` String, `parameters` Map(String, String), `method` String, `release` String, `user_agent` Nullable(String), `client_ip` Nullable(String), `resource_tags` Array(String), `memory_usage` UInt64, `replica` String) ENGINE = MergeTree PARTITION BY (toYYYYMM(start_datetime)) ORDER BY (pipe_id, start_datetime) TTL toDateTime(start_datetime) + toIntervalDay(30) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 100;

-- tinybird.pipe_stats
CREATE TABLE IF NOT EXISTS `ws_1`.`service_pipe_stats` (`date` DateTime, `pipe_id` String, `pipe_name` String, `avg_duration_state` AggregateFunction(avg, Float32), `error_count` UInt64, `view_count` UInt64, `quantile_timing_state` AggregateFunction(quantilesTiming(0.9, 0.95, 0.99), Float64), `read_bytes_sum` UInt64, `read_rows_sum` UInt64, `cpu_time_sum` Float64, `resource_tags` Array(String)) ENGINE = SummingMergeTree PARTITION BY (toYYYYMM(date)) ORDER BY (pipe_id, date) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, non_replicated_deduplication_window = 100;

-- its view
CREATE MATERIALIZED VIEW IF NOT EXISTS `ws_1`.`service_pipe_stats_view` TO `ws_1`.`service_pipe_stats` AS SELECT toStartOfDay(start_datetime) AS date, pipe_id, anyLast(pipe_name) AS pipe_name, avgState(duration) AS avg_duration_state, sum(toUInt64(error)) AS error_count, count() AS view_count, quantilesTimingState(0.9, 0.95, 0.99)(toFloat64(duration) * 1000) AS quantile_timing_state, sum(read_bytes) AS read_bytes_sum, sum(read_rows) AS read_rows_sum, sum(toFloat64(cpu_time)) AS cpu_time_sum, anyLast(resource_tags) AS resource_tags FROM `ws_1`.`service_pipe_stats_rt` GROUP BY pipe_id, date;

-- the view of a materialized node
CREATE MATERIALIZED VIEW IF NOT EXISTS `ws_1`.`n_1__view` TO `ws_1`.`t_2` AS SELECT id, count() AS c FROM ws_1.t_1 GROUP BY id;

-- … the view dropped
DROP TABLE IF EXISTS `ws_1`.`n_1__view` SYNC;

-- all views
SELECT DISTINCT database, name FROM system.tables WHERE engine = 'MaterializedView' AND endsWith(name, {end:String});

-- all databases
SELECT DISTINCT name FROM system.databases;

-- a data source altered
ALTER TABLE `ws_1`.`t_1` DROP INDEX IF EXISTS `by_n`, ADD COLUMN `city` String, MODIFY TTL at + toIntervalDay(9);

-- … of what no column knows
ALTER TABLE `ws_1`.`t_1` REMOVE TTL;

-- … a column that is not recorded
ALTER TABLE `ws_1`.`t_1` DROP COLUMN `stray`;

-- … emptied
TRUNCATE TABLE `ws_1`.`t_1` SYNC;

-- … dropped
DROP TABLE IF EXISTS `ws_1`.`t_1` SYNC;

-- … how much is in each
SELECT table, sum(rows), sum(bytes_on_disk), max(has_lightweight_delete) FROM system.parts WHERE active AND database = {database:String} GROUP BY table;
SELECT 't_1', count() FROM `ws_1`.`t_1` UNION ALL SELECT 't_2', count() FROM `ws_1`.`t_2`;
SELECT sum(total_rows), sum(total_bytes) FROM system.tables WHERE database = {database:String} AND name = {table:String} HAVING count() > 0;

-- rows deleted
SELECT count() FROM `ws_1`.`t_1` WHERE id = 1;
ALTER TABLE `ws_1`.`t_1` DELETE WHERE id = 1 AND 'job' != '';
ALTER TABLE `ws_1`.`t_1` DELETE IN PARTITION ID '202401' WHERE id = 1;
SELECT min(is_done), max(parts_to_do), max(latest_fail_reason) FROM system.mutations WHERE database = {database:String} AND table = {table:String} AND position(command, {mark:String}) > 0 HAVING count() > 0;
SELECT count(), uniqExact(partition_id) FROM system.parts WHERE active AND database = {database:String} AND table = {table:String} AND ({partition:String} = '' OR partition_id = {partition:String});
KILL MUTATION WHERE database = 'ws_1' AND table = 't_1' AND position(command, 'job') > 0;

-- rows marked as deleted
DELETE FROM `ws_1`.`t_1` IN PARTITION ID '202401' WHERE id = 1;
SELECT partition_id FROM system.parts WHERE active AND database = {database:String} AND table = {table:String} AND (partition_id = {partition:String} OR partition = {partition:String}) LIMIT 1;

-- all rows replaced
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1__staged` AS `ws_1`.`t_1`;
EXCHANGE TABLES `ws_1`.`t_1` AND `ws_1`.`t_1__staged`;
DROP TABLE IF EXISTS `ws_1`.`t_1__staged` SYNC;

-- a copy: its rows put aside
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1__copy` (`id` UInt64, `name` String) ENGINE = MergeTree ORDER BY tuple() SETTINGS max_bytes_to_merge_at_max_space_in_pool = 1, fsync_after_insert = 1, fsync_part_directory = 1;
INSERT INTO `ws_1`.`t_1__copy` (`id`, `name`) SELECT * FROM (
SELECT 1, 'a'
);
SELECT read_rows / greatest(read_rows, total_rows_approx, 1) FROM system.processes WHERE query_kind = 'Insert' AND position(query, {table:String}) > 0 ORDER BY elapsed DESC;
KILL QUERY WHERE query_kind = 'Insert' AND position(query, 't_1__copy') > 0 SYNC;
SELECT DISTINCT name, rows FROM system.parts WHERE active AND database = {database:String} AND table = {table:String} ORDER BY name;
SELECT sum(data_uncompressed_bytes) FROM system.parts WHERE active AND database = {database:String} AND table = {table:String};

-- … and moved piece by piece
INSERT INTO `ws_1`.`t_1` (`id`, `name`) SELECT `id`, `name` FROM `ws_1`.`t_1__copy` WHERE _part = 'all_1_1_0' AND _part_offset >= 0 AND _part_offset < 100000 ORDER BY _part_offset;

-- a quarantine replayed: its rows taken
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1_taking_j` AS `ws_1`.`t_1_quarantine` ENGINE = MergeTree PARTITION BY toYYYYMM(insertion_date) ORDER BY insertion_date SETTINGS max_bytes_to_merge_at_max_space_in_pool = 1, fsync_after_insert = 1, fsync_part_directory = 1;
SELECT DISTINCT _partition_id FROM `ws_1`.`t_1_quarantine` WHERE 1 ORDER BY 1;
ALTER TABLE `ws_1`.`t_1_quarantine` MOVE PARTITION ID '202401' TO TABLE `ws_1`.`t_1_taking_j`;
RENAME TABLE `ws_1`.`t_1_taking_j` TO `ws_1`.`t_1_taken_j`;

-- … and read in blocks
SELECT _part_offset, byteSize(*) FROM `ws_1`.`t_1_taken_j` WHERE _part = '202401_1_1_0' AND _part_offset >= 0 ORDER BY _part_offset LIMIT 16384;
SELECT c__raw FROM `ws_1`.`t_1_taken_j` WHERE _part = '202401_1_1_0' AND _part_offset >= 0 AND _part_offset < 16384 ORDER BY _part_offset;
