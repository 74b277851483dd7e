"""The lower half of the write path: batches out of the buffer, into ClickHouse."""
