-- the database of a workspace
CREATE DATABASE IF NOT EXISTS `ws_1` ON CLUSTER `main` ENGINE = Atomic;

-- … the database dropped
DROP DATABASE IF EXISTS `ws_1` ON CLUSTER `main` SYNC;

-- a data source, with an index
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1_local` ON CLUSTER `main` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') PARTITION BY (toYYYYMM(at)) ORDER BY (at, id) TTL at + toIntervalDay(30) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1` ON CLUSTER `main` AS `ws_1`.`t_1_local` ENGINE = Distributed('main', 'ws_1', 't_1_local', rand());

-- its quarantine
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1_quarantine_local` ON CLUSTER `main` (`c__error_column` Array(String), `c__error` Array(String), `c__import_id` Nullable(String), `id` Nullable(String), `at` Nullable(String), `name` Nullable(String), `n` Nullable(String), `v` Nullable(String), `s` Nullable(String), `insertion_date` DateTime DEFAULT now(), `c__raw` Nullable(String)) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') PARTITION BY (toYYYYMM(insertion_date)) ORDER BY (insertion_date) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1_quarantine` ON CLUSTER `main` AS `ws_1`.`t_1_quarantine_local` ENGINE = Distributed('main', 'ws_1', 't_1_quarantine_local', 0);

-- a data source of engine MergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2_local` ON CLUSTER `main` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') PARTITION BY (toYYYYMM(at)) ORDER BY (at, id) TTL at + toIntervalDay(30) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` ON CLUSTER `main` AS `ws_1`.`t_2_local` ENGINE = Distributed('main', 'ws_1', 't_2_local', rand());

-- a data source of engine ReplacingMergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2_local` ON CLUSTER `main` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = ReplicatedReplacingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', `v`) ORDER BY (name, id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` ON CLUSTER `main` AS `ws_1`.`t_2_local` ENGINE = Distributed('main', 'ws_1', 't_2_local', cityHash64(name, id));

-- a data source of engine SummingMergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2_local` ON CLUSTER `main` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = ReplicatedSummingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', (`n`)) ORDER BY (toDate(at), name) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` ON CLUSTER `main` AS `ws_1`.`t_2_local` ENGINE = Distributed('main', 'ws_1', 't_2_local', cityHash64(toDate(at), name));

-- a data source of engine AggregatingMergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2_local` ON CLUSTER `main` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = ReplicatedAggregatingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') ORDER BY tuple() SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` ON CLUSTER `main` AS `ws_1`.`t_2_local` ENGINE = Distributed('main', 'ws_1', 't_2_local', 0);

-- a data source of engine CollapsingMergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2_local` ON CLUSTER `main` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = ReplicatedCollapsingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', `s`) ORDER BY (id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` ON CLUSTER `main` AS `ws_1`.`t_2_local` ENGINE = Distributed('main', 'ws_1', 't_2_local', cityHash64(id));

-- a data source of engine VersionedCollapsingMergeTree
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2_local` ON CLUSTER `main` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = ReplicatedVersionedCollapsingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}', `s`, `v`) ORDER BY (id) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 10000, replicated_deduplication_window_seconds = 2592000;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` ON CLUSTER `main` AS `ws_1`.`t_2_local` ENGINE = Distributed('main', 'ws_1', 't_2_local', cityHash64(id));

-- a data source of engine Null
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2_local` ON CLUSTER `main` (`id` UInt64, `at` DateTime, `name` LowCardinality(String), `n` Float64 DEFAULT 1, `v` UInt32, `s` Int8) ENGINE = Null;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_2` ON CLUSTER `main` AS `ws_1`.`t_2_local` ENGINE = Distributed('main', 'ws_1', 't_2_local', rand());

-- tinybird.pipe_stats_rt
CREATE TABLE IF NOT EXISTS `ws_1`.`service_pipe_stats_rt_local` ON CLUSTER `main` (`start_datetime` DateTime, `pipe_id` String, `pipe_name` String, `token` String, `token_name` String, `duration` Float32, `read_bytes` UInt64, `read_rows` UInt64, `cpu_time` Float32, `result_rows` UInt64, `url` Nullable(String), `error` UInt8, `error_message` Nullable(String), `status_code` Int32, `request_id` String, `parameters` Map(String, String), `method` String, `release` String, `user_agent` Nullable(String), `client_ip` Nullable(String), `resource_tags` Array(String), `memory_usage` UInt64, `replica` String) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') PARTITION BY (toYYYYMM(start_datetime)) ORDER BY (pipe_id, start_datetime) TTL toDateTime(start_datetime) + toIntervalDay(30) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100, replicated_deduplication_window_seconds = 2592000;
CREATE TABLE IF NOT EXISTS `ws_1`.`service_pipe_stats_rt` ON CLUSTER `main` AS `ws_1`.`service_pipe_stats_rt_local` ENGINE = Distributed('main', 'ws_1', 'service_pipe_stats_rt_local', 0);

-- tinybird.pipe_stats
CREATE TABLE IF NOT EXISTS `ws_1`.`service_pipe_stats_local` ON CLUSTER `main` (`date` DateTime, `pipe_id` String, `pipe_name` String, `avg_duration_state` AggregateFunction(avg, Float32), `error_count` UInt64, `view_count` UInt64, `quantile_timing_state` AggregateFunction(quantilesTiming(0.9, 0.95, 0.99), Float64), `read_bytes_sum` UInt64, `read_rows_sum` UInt64, `cpu_time_sum` Float64, `resource_tags` Array(String)) ENGINE = ReplicatedSummingMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') PARTITION BY (toYYYYMM(date)) ORDER BY (pipe_id, date) SETTINGS fsync_after_insert = 1, fsync_part_directory = 1, replicated_deduplication_window = 100, replicated_deduplication_window_seconds = 2592000;
CREATE TABLE IF NOT EXISTS `ws_1`.`service_pipe_stats` ON CLUSTER `main` AS `ws_1`.`service_pipe_stats_local` ENGINE = Distributed('main', 'ws_1', 'service_pipe_stats_local', 0);

-- its view
CREATE MATERIALIZED VIEW IF NOT EXISTS `ws_1`.`service_pipe_stats_view` ON CLUSTER `main` TO `ws_1`.`service_pipe_stats_local` AS SELECT toStartOfDay(start_datetime) AS date, pipe_id, anyLast(pipe_name) AS pipe_name, avgState(duration) AS avg_duration_state, sum(toUInt64(error)) AS error_count, count() AS view_count, quantilesTimingState(0.9, 0.95, 0.99)(toFloat64(duration) * 1000) AS quantile_timing_state, sum(read_bytes) AS read_bytes_sum, sum(read_rows) AS read_rows_sum, sum(toFloat64(cpu_time)) AS cpu_time_sum, anyLast(resource_tags) AS resource_tags FROM `ws_1`.`service_pipe_stats_rt_local` GROUP BY pipe_id, date;

-- the view of a materialized node
CREATE MATERIALIZED VIEW IF NOT EXISTS `ws_1`.`n_1__view` ON CLUSTER `main` TO `ws_1`.`t_2_local` AS SELECT id, count() AS c FROM ws_1.t_1_local GROUP BY id;

-- … the view dropped
DROP TABLE IF EXISTS `ws_1`.`n_1__view` ON CLUSTER `main` SYNC;

-- all views
SELECT DISTINCT database, name FROM clusterAllReplicas('main', system.tables) WHERE engine = 'MaterializedView' AND endsWith(name, {end:String});

-- all databases
SELECT DISTINCT name FROM clusterAllReplicas('main', system.databases);

-- a data source altered
ALTER TABLE `ws_1`.`t_1_local` ON CLUSTER `main` DROP INDEX IF EXISTS `by_n`, ADD COLUMN `city` String, MODIFY TTL at + toIntervalDay(9);
ALTER TABLE `ws_1`.`t_1` ON CLUSTER `main` ADD COLUMN IF NOT EXISTS `city` String;
SELECT uniqExact(columns) FROM (SELECT arraySort(groupUniqArray((name, type))) AS columns FROM clusterAllReplicas('main', system.columns) WHERE database = {database:String} AND table IN ({table:String}, {local:String}) GROUP BY hostName(), table);

-- … of what no column knows
ALTER TABLE `ws_1`.`t_1_local` ON CLUSTER `main` REMOVE TTL;

-- … a column that is not recorded
ALTER TABLE `ws_1`.`t_1_local` ON CLUSTER `main` DROP COLUMN `stray`;
ALTER TABLE `ws_1`.`t_1` ON CLUSTER `main` DROP COLUMN IF EXISTS `stray`;

-- … emptied
TRUNCATE TABLE `ws_1`.`t_1_local` ON CLUSTER `main` SYNC;

-- … dropped
DROP TABLE IF EXISTS `ws_1`.`t_1` ON CLUSTER `main` SYNC;
DROP TABLE IF EXISTS `ws_1`.`t_1_local` ON CLUSTER `main` SYNC;

-- … how much is in each
SELECT table, sum(rows), sum(bytes_on_disk), max(has_lightweight_delete) FROM cluster('main', system.parts) WHERE active AND database = {database:String} GROUP BY table;
SELECT 't_1', count() FROM `ws_1`.`t_1` UNION ALL SELECT 't_2', count() FROM `ws_1`.`t_2`;
SELECT sum(total_rows), sum(total_bytes) FROM cluster('main', system.tables) WHERE database = {database:String} AND name = {table:String} HAVING count() > 0;

-- rows deleted
SELECT count() FROM `ws_1`.`t_1` WHERE id = 1;
ALTER TABLE `ws_1`.`t_1_local` ON CLUSTER `main` DELETE WHERE id = 1 AND 'job' != '';
ALTER TABLE `ws_1`.`t_1_local` ON CLUSTER `main` DELETE IN PARTITION ID '202401' WHERE id = 1;
SELECT min(is_done), max(parts_to_do), max(latest_fail_reason) FROM clusterAllReplicas('main', system.mutations) WHERE database = {database:String} AND table = {table:String} AND position(command, {mark:String}) > 0 HAVING count() > 0;
SELECT count(), uniqExact(partition_id) FROM cluster('main', system.parts) WHERE active AND database = {database:String} AND table = {table:String} AND ({partition:String} = '' OR partition_id = {partition:String});
KILL MUTATION ON CLUSTER `main` WHERE database = 'ws_1' AND table = 't_1_local' AND position(command, 'job') > 0;

-- rows marked as deleted
ALTER TABLE `ws_1`.`t_1_local` ON CLUSTER `main` DELETE IN PARTITION ID '202401' WHERE id = 1;
SELECT partition_id FROM cluster('main', system.parts) WHERE active AND database = {database:String} AND table = {table:String} AND (partition_id = {partition:String} OR partition = {partition:String}) LIMIT 1;

-- all rows replaced
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1__staged_local` ON CLUSTER `main` AS `ws_1`.`t_1_local`;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1__staged` ON CLUSTER `main` AS `ws_1`.`t_1__staged_local` ENGINE = Distributed('main', 'ws_1', 't_1__staged_local', rand());
EXCHANGE TABLES `ws_1`.`t_1_local` AND `ws_1`.`t_1__staged_local` ON CLUSTER `main`;
SELECT count() FROM system.distributed_ddl_queue WHERE cluster = 'main' AND startsWith(query, 'EXCHANGE') AND position(query, 't_1__staged_local') > 0;
DROP TABLE IF EXISTS `ws_1`.`t_1__staged` ON CLUSTER `main` SYNC;
DROP TABLE IF EXISTS `ws_1`.`t_1__staged_local` ON CLUSTER `main` SYNC;

-- a copy: its rows put aside
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1__copy_local` ON CLUSTER `main` (`id` UInt64, `name` String) ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') ORDER BY tuple() SETTINGS max_bytes_to_merge_at_max_space_in_pool = 1, fsync_after_insert = 1, fsync_part_directory = 1;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1__copy` ON CLUSTER `main` AS `ws_1`.`t_1__copy_local` ENGINE = Distributed('main', 'ws_1', 't_1__copy_local', 0);
INSERT INTO `ws_1`.`t_1__copy` (`id`, `name`) SELECT * FROM (
SELECT 1, 'a'
);
SELECT read_rows / greatest(read_rows, total_rows_approx, 1) FROM clusterAllReplicas('main', system.processes) WHERE query_kind = 'Insert' AND position(query, {table:String}) > 0 ORDER BY elapsed DESC;
KILL QUERY ON CLUSTER `main` WHERE query_kind = 'Insert' AND position(query, 't_1__copy') > 0 SYNC;
SYSTEM SYNC REPLICA ON CLUSTER `main` `ws_1`.`t_1__copy_local`;
SELECT DISTINCT name, rows FROM clusterAllReplicas('main', system.parts) WHERE active AND database = {database:String} AND table = {table:String} ORDER BY name;
SELECT sum(data_uncompressed_bytes) FROM cluster('main', system.parts) WHERE active AND database = {database:String} AND table = {table:String};

-- … and moved piece by piece
INSERT INTO `ws_1`.`t_1` (`id`, `name`) SELECT `id`, `name` FROM `ws_1`.`t_1__copy` WHERE _part = 'all_1_1_0' AND _part_offset >= 0 AND _part_offset < 100000 ORDER BY _part_offset;

-- a quarantine replayed: its rows taken
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1_taking_j_local` ON CLUSTER `main` AS `ws_1`.`t_1_quarantine_local` ENGINE = ReplicatedMergeTree('/clickhouse/tables/{uuid}/{shard}', '{replica}') PARTITION BY toYYYYMM(insertion_date) ORDER BY insertion_date SETTINGS max_bytes_to_merge_at_max_space_in_pool = 1, fsync_after_insert = 1, fsync_part_directory = 1;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1_taking_j` ON CLUSTER `main` AS `ws_1`.`t_1_taking_j_local` ENGINE = Distributed('main', 'ws_1', 't_1_taking_j_local', 0);
SELECT DISTINCT _partition_id FROM `ws_1`.`t_1_quarantine` WHERE 1 ORDER BY 1;
ALTER TABLE `ws_1`.`t_1_quarantine_local` ON CLUSTER `main` MOVE PARTITION ID '202401' TO TABLE `ws_1`.`t_1_taking_j_local`;
RENAME TABLE `ws_1`.`t_1_taking_j_local` TO `ws_1`.`t_1_taken_j_local` ON CLUSTER `main`;
CREATE TABLE IF NOT EXISTS `ws_1`.`t_1_taken_j` ON CLUSTER `main` AS `ws_1`.`t_1_taken_j_local` ENGINE = Distributed('main', 'ws_1', 't_1_taken_j_local', 0);
SYSTEM SYNC REPLICA ON CLUSTER `main` `ws_1`.`t_1_taken_j_local`;

-- … and read in blocks
SELECT _part_offset, byteSize(*) FROM `ws_1`.`t_1_taken_j` WHERE _part = '202401_1_1_0' AND _part_offset >= 0 ORDER BY _part_offset LIMIT 16384;
SELECT c__raw FROM `ws_1`.`t_1_taken_j` WHERE _part = '202401_1_1_0' AND _part_offset >= 0 AND _part_offset < 16384 ORDER BY _part_offset;
