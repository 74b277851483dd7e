"""The only door to ClickHouse's driver."""
