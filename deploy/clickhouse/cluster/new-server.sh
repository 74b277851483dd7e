#!/bin/sh
# Make on a new server of a cluster what Sluice has on another: a new replica, or the first one of a new shard.
#
# usage: new-server.sh OLD-HOST NEW-HOST [options of clickhouse-client, for both: --user, --password, --secure …]
#
# Tables get the UUID that they have elsewhere, by which replicas find each other in Keeper. What is there already stays.
# See docs/clusters.md.
set -eu
old=$1 new=$2
shift 2

clickhouse-client --host "$old" "$@" --query "
    SELECT concat('CREATE DATABASE IF NOT EXISTS \`', name, '\` ENGINE = Atomic;')
    FROM system.databases WHERE startsWith(name, 'ws_') ORDER BY name FORMAT TSVRaw" |
    clickhouse-client --host "$new" "$@" --multiquery

# Tables with rows first, then those over them, then views. Values that a list of columns would hide are not shown.
clickhouse-client --host "$old" "$@" --query "
    SELECT concat(replaceOne(replaceOne(create_table_query, 'CREATE TABLE ', 'CREATE TABLE IF NOT EXISTS '),
        'CREATE MATERIALIZED VIEW ', 'CREATE MATERIALIZED VIEW IF NOT EXISTS '), ';')
    FROM system.tables WHERE startsWith(database, 'ws_')
    ORDER BY engine = 'MaterializedView', engine = 'Distributed', database, name FORMAT TSVRaw
    SETTINGS show_table_uuid_in_table_create_query_if_not_nil = 1" |
    clickhouse-client --host "$new" "$@" --multiquery
