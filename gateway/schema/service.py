"""Service data sources: the tables in which a workspace can read about itself, `tinybird.<name>`.

Each is a table of the workspace's own database, so nobody reads about another. Names, types and order of the columns
are the contract's: people write `SELECT *`, and clients read states by type. What this gateway has no such thing of
(Kafka, sinks, releases) is there and empty, because clients look at all of them in one query.

Source: service-datasources.md, section 3.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

from gateway.schema.columns import parse_schema
from gateway.schema.datafile import Datafile
from gateway.schema.engines import parse_engine

DATABASE: Final = "tinybird"
"""As people write it."""

RETENTION_DAYS: Final = 30
AUDIT_DAYS: Final = 400  # a year, and time to look


@dataclass(frozen=True, slots=True)
class ServiceTable:
    """One service data source.

    Attributes:
        name: as people write it, behind `tinybird.`.
        columns: names and types, as a schema.
        time: the column by which old rows go.
        sorting_key: of the table.
        engine: of the table.
        version: the column that says which of several rows with one key counts; "" if none.
        is_for_admins: whether reading everything in the workspace is not enough to read this.
        days: how long rows are kept; 0: for good.
        made_of: another service data source, whose rows become its own through `view`; "" if it is written itself.
        view: the SELECT that they come through; `{source}` stands for the table of `made_of`.
    """

    name: str
    columns: str
    time: str
    sorting_key: str
    engine: str = "MergeTree"
    version: str = ""
    is_for_admins: bool = False
    days: int = RETENTION_DAYS
    made_of: str = ""
    view: str = ""

    @property
    def table(self) -> str:
        """Its name in the workspace's database; no data source has such a name there."""
        return f"service_{self.name}"

    @property
    def needs_final(self) -> bool:
        """Whether rows with one key are one row, also before the engine got to merge them."""
        return self.engine != "MergeTree"

    def datafile(self) -> Datafile:
        """Return what the table is made of."""
        schema = parse_schema(self.columns)
        options = {
            "engine": self.engine,
            "engine_partition_key": f"toYYYYMM({self.time})",
            "engine_sorting_key": self.sorting_key,
            **({"engine_ttl": f"toDateTime({self.time}) + toIntervalDay({self.days})"} if self.days else {}),
            **({"engine_ver": self.version} if self.version else {}),
        }
        return Datafile(schema, parse_engine(options, schema))


_TABLES: Final = (
    ServiceTable(
        "pipe_stats_rt",
        "start_datetime DateTime, pipe_id String, pipe_name String, token String, token_name String, "
        "duration Float32, read_bytes UInt64, read_rows UInt64, cpu_time Float32, result_rows UInt64, "
        "url Nullable(String), error UInt8, error_message Nullable(String), status_code Int32, request_id String, "
        "parameters Map(String, String), method String, release String, user_agent Nullable(String), "
        "client_ip Nullable(String), resource_tags Array(String), memory_usage UInt64, replica String",
        "start_datetime",
        "pipe_id, start_datetime",
    ),
    ServiceTable(
        "pipe_stats",
        "date DateTime, pipe_id String, pipe_name String, avg_duration_state AggregateFunction(avg, Float32), "
        "error_count UInt64, view_count UInt64, "
        "quantile_timing_state AggregateFunction(quantilesTiming(0.9, 0.95, 0.99), Float64), "
        "read_bytes_sum UInt64, read_rows_sum UInt64, cpu_time_sum Float64, resource_tags Array(String)",
        "date",
        "pipe_id, date",
        "SummingMergeTree",
        made_of="pipe_stats_rt",
        view="SELECT toStartOfDay(start_datetime) AS date, pipe_id, anyLast(pipe_name) AS pipe_name, "
        "avgState(duration) AS avg_duration_state, sum(toUInt64(error)) AS error_count, count() AS view_count, "
        "quantilesTimingState(0.9, 0.95, 0.99)(toFloat64(duration) * 1000) AS quantile_timing_state, "
        "sum(read_bytes) AS read_bytes_sum, sum(read_rows) AS read_rows_sum, "
        "sum(toFloat64(cpu_time)) AS cpu_time_sum, anyLast(resource_tags) AS resource_tags "
        "FROM {source} GROUP BY pipe_id, date",
        days=0,
    ),
    ServiceTable(
        "endpoint_errors",
        "start_datetime DateTime, request_id String, pipe_id String, pipe_name String, params Nullable(String), "
        "url Nullable(String), status_code Nullable(Int32), error Nullable(String), resource_tags Array(String)",
        "start_datetime",
        "start_datetime",
    ),
    ServiceTable(
        "datasources_ops_log",
        "timestamp DateTime, event_type String, datasource_id String, datasource_name String, result String, "
        "elapsed_time Float32, error Nullable(String), `Options.Names` Array(String), `Options.Values` Array(String), "
        "request_id String, import_id Nullable(String), job_id Nullable(String), rows Nullable(UInt64), "
        "rows_quarantine Nullable(UInt64), blocks_ids Array(String), operation_id String, read_rows UInt64, "
        "read_bytes UInt64, cpu_time Float32, memory_usage UInt64, written_rows UInt64, written_bytes UInt64, "
        "written_rows_quarantine UInt64, written_bytes_quarantine UInt64, pipe_id String, pipe_name String, "
        "release String, resource_tags Array(String)",
        "timestamp",
        "datasource_id, timestamp",
    ),
    ServiceTable(
        "datasources_ops_stats",
        "event_date DateTime, datasource_id String, datasource_name String, event_type LowCardinality(String), "
        "pipe_id String, pipe_name String, error_count UInt64, executions UInt64, "
        "avg_elapsed_time_state AggregateFunction(avg, Float32), "
        "quantiles_state AggregateFunction(quantiles(0.9, 0.95, 0.99), Float64), read_rows UInt64, read_bytes UInt64, "
        "written_rows UInt64, written_bytes UInt64, written_rows_quarantine UInt64, "
        "written_bytes_quarantine UInt64, cpu_time Float64, resource_tags Array(String)",
        "event_date",
        "event_date, event_type, datasource_id, pipe_id",
        "SummingMergeTree",
        made_of="datasources_ops_log",
        view="SELECT toStartOfDay(log.timestamp) AS event_date, log.datasource_id AS datasource_id, "
        "anyLast(log.datasource_name) AS datasource_name, toLowCardinality(log.event_type) AS event_type, "
        "log.pipe_id AS pipe_id, anyLast(log.pipe_name) AS pipe_name, countIf(log.result != 'ok') AS error_count, "
        "count() AS executions, avgState(log.elapsed_time) AS avg_elapsed_time_state, "
        "quantilesState(0.9, 0.95, 0.99)(toFloat64(log.elapsed_time)) AS quantiles_state, "
        "sum(log.read_rows) AS read_rows, sum(log.read_bytes) AS read_bytes, sum(log.written_rows) AS written_rows, "
        "sum(log.written_bytes) AS written_bytes, sum(log.written_rows_quarantine) AS written_rows_quarantine, "
        "sum(log.written_bytes_quarantine) AS written_bytes_quarantine, sum(toFloat64(log.cpu_time)) AS cpu_time, "
        "anyLast(log.resource_tags) AS resource_tags "
        "FROM {source} AS log GROUP BY event_date, datasource_id, event_type, pipe_id",
        days=0,
    ),
    ServiceTable(
        "block_log",
        "timestamp DateTime, request_id String, import_id String, job_id Nullable(String), source String, "
        "block_id String, status String, datasource_id String, datasource_name String, "
        "start_offset Nullable(Int64), end_offset Nullable(Int64), rows Nullable(Int32), parser Nullable(String), "
        "quarantine_lines Nullable(UInt32), empty_lines Nullable(UInt32), bytes Nullable(UInt32), "
        "processing_time Nullable(Float32), processing_error Nullable(String)",
        "timestamp",
        "timestamp, datasource_name",
    ),
    ServiceTable(
        "jobs_log",
        "job_id String, job_type LowCardinality(String), status LowCardinality(String), error Nullable(String), "
        "workspace_id String, request_id Nullable(String), pipe_id Nullable(String), datasource_id Nullable(String), "
        "created_at DateTime64(3), started_at Nullable(DateTime64(3)), updated_at DateTime64(3), job_metadata String",
        "created_at",
        "created_at, job_id",
        "ReplacingMergeTree",
        "updated_at",
    ),
    ServiceTable(
        "datasources_storage",
        "datasource_id String, datasource_name String, timestamp DateTime, bytes SimpleAggregateFunction(max, UInt64), "
        "rows SimpleAggregateFunction(max, UInt64), bytes_quarantine SimpleAggregateFunction(max, UInt64), "
        "rows_quarantine SimpleAggregateFunction(max, UInt64)",
        "timestamp",
        "datasource_id, timestamp, datasource_name",
        "AggregatingMergeTree",
    ),
    ServiceTable(  # ours
        "audit_log",
        "timestamp DateTime64(3), operation LowCardinality(String), resource_type LowCardinality(String), "
        "resource_id String, resource_name String, result LowCardinality(String), status_code Int32, "
        "error Nullable(String), token_id String, token_name String, request_id String",
        "timestamp",
        "timestamp, request_id",
        is_for_admins=True,
        days=AUDIT_DAYS,
    ),
    ServiceTable(
        "kafka_ops_log",
        "timestamp DateTime, datasource_id String, topic String, partition Int16, msg_type String, lag Int64, "
        "processed_messages Int32, processed_bytes Int32, committed_messages Int32, time_read Float32, "
        "time_process Float32, time_write Float32, msg String",
        "timestamp",
        "datasource_id, topic, timestamp",
    ),
    ServiceTable(
        "sinks_ops_log",
        "timestamp DateTime, job_id Nullable(String), service LowCardinality(String), pipe_name String, "
        "pipe_id String, result LowCardinality(String), error Nullable(String), elapsed_time Float64, "
        "read_rows UInt64, written_rows UInt64, read_bytes UInt64, written_bytes UInt64, cpu_time Float32, "
        "output UInt64, parameters Map(String, String), options Map(String, String), token_name String",
        "timestamp",
        "pipe_id, timestamp",
    ),
    ServiceTable(
        "llm_usage",
        "start_time DateTime, end_time DateTime, workspace_id String, user_email String, request_id String, "
        "prompt_tokens UInt32, completion_tokens UInt32, total_tokens UInt32, duration Float32, cost Float32, "
        "origin String, feature String",
        "start_time",
        "start_time, user_email, request_id",
    ),
    ServiceTable(
        "releases_log",
        "timestamp DateTime64(3), event_type LowCardinality(String), commit String, semver String, token String, "
        "token_name String, result LowCardinality(String), error String",
        "timestamp",
        "semver, timestamp",
    ),
    ServiceTable(
        "data_transfer",
        "timestamp DateTime, event LowCardinality(String), origin_provider LowCardinality(String), "
        "origin_region LowCardinality(String), destination_provider LowCardinality(String), "
        "destination_region LowCardinality(String), kind LowCardinality(String), bytes UInt64",
        "timestamp",
        "timestamp",
    ),
    ServiceTable(
        "cluster_control_log",
        "timestamp DateTime64(3), workspace_id String, workspace_name String, pipe_name String, "
        "rate_limit_type LowCardinality(String), action LowCardinality(String), limit_metadata String",
        "timestamp",
        "timestamp, pipe_name",
    ),
    ServiceTable(
        "hook_log",
        "timestamp DateTime, request_id String, import_id Nullable(String), job_id Nullable(String), source String, "
        "hook_id String, name String, operation String, status String, datasource_id String, datasource_name String, "
        "processing_time Nullable(Float32), processing_error Nullable(String)",
        "timestamp",
        "timestamp, datasource_name",
    ),
    ServiceTable(
        "data_guess",
        "user_id LowCardinality(String), datasource_id LowCardinality(String), timestamp DateTime, "
        "path LowCardinality(String), type LowCardinality(String), num Float64, str String",
        "timestamp",
        "user_id, datasource_id, timestamp",
    ),
    ServiceTable(
        "query_validator_log",
        "version LowCardinality(String), stable_version LowCardinality(String), query_hash UInt64, "
        "query_last_execution DateTime, resource_type LowCardinality(String), resource_name String, query_id String, "
        "query String, error_code Int16, error String, fix_suggestion String, run_validation DateTime",
        "run_validation",
        "query_hash, run_validation",
    ),
)

SERVICE_TABLES: Final[Mapping[str, ServiceTable]] = {table.name: table for table in _TABLES}
"""By the name behind `tinybird.`."""


def service_table(name: str) -> ServiceTable | None:
    """Return the service data source that a query calls `name`, or None."""
    database, _, rest = name.partition(".")
    return SERVICE_TABLES.get(rest) if database == DATABASE else None
