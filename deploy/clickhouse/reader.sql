-- A user that may read and nothing else, for the queries of those who use the gateway (clickhouse_read_user).
--
-- The third fence: the gateway parses each query and writes it anew, then tells ClickHouse to read only; should both fail,
-- this user can still read no file, no network, no other server and no system table, and lift no limit.
--
-- Run it as an administrator, on ClickHouse 24.10 or newer, with a password of your own:
--     sed "s/CHANGE_ME/$(openssl rand -hex 24)/" deploy/clickhouse/reader.sql | clickhouse-client --multiquery

-- The greatest values that query_seconds_max, query_result_bytes_max and limits of workspaces may have. `readonly` is
-- not here: the gateway sends it with each query, and a profile with it would refuse the limits sent beside it.
CREATE SETTINGS PROFILE OR REPLACE sluice_reader SETTINGS
    allow_ddl = 0 READONLY,
    allow_introspection_functions = 0 READONLY,
    max_execution_time = 10 MIN 0.001 MAX 300,
    max_memory_usage = 4294967296 MIN 1 MAX 17179869184,
    max_result_bytes = 104857600 MIN 1 MAX 1073741824,
    max_threads = 8 MIN 1 MAX 64,
    max_query_size = 262144 MAX 8388608,
    max_concurrent_queries_for_user = 256 READONLY,
    cancel_http_readonly_queries_on_client_close = 1 CHANGEABLE_IN_READONLY;

CREATE USER OR REPLACE sluice_reader IDENTIFIED WITH sha256_password BY 'CHANGE_ME' HOST ANY SETTINGS PROFILE 'sluice_reader';

-- Databases of workspaces; those that are made later too.
GRANT SELECT ON `ws_*`.* TO sluice_reader;

-- What every query may read (docs/compatibility.md).
GRANT SELECT ON system.one TO sluice_reader;
GRANT SELECT ON system.numbers TO sluice_reader;
GRANT SELECT ON system.numbers_mt TO sluice_reader;
GRANT SELECT ON system.functions TO sluice_reader;
