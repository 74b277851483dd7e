"""Settings: which MergeTree settings a client may give a data source, and how they are written.

An allow-list of names, because some settings reach out of the table: `disk = disk(type = 'local', path = '/…')` opens
any directory of the server, `storage_policy` chooses disks. Others would undo promises of ours: deduplication windows
and fsync belong to the gateway. Values are numbers, strings, true or false; never an expression.
"""

import math
from collections.abc import Mapping
from typing import Final

from gateway.schema.lexer import Scanner, decode_string, words
from gateway.schema.names import quote_string

SettingValue = int | float | str | bool

_ALLOWED: Final = words(
    """
    index_granularity index_granularity_bytes min_index_granularity_bytes enable_mixed_granularity_parts
    min_bytes_for_wide_part min_rows_for_wide_part min_compress_block_size max_compress_block_size
    default_compression_codec marks_compression_codec primary_key_compression_codec
    ttl_only_drop_parts merge_with_ttl_timeout merge_with_recompression_ttl_timeout materialize_ttl_recalculate_only
    max_partitions_to_read parts_to_delay_insert parts_to_throw_insert max_parts_in_total inactive_parts_to_delay_insert
    inactive_parts_to_throw_insert max_bytes_to_merge_at_max_space_in_pool max_bytes_to_merge_at_min_space_in_pool
    merge_max_block_size merge_max_block_size_bytes min_age_to_force_merge_seconds
    min_age_to_force_merge_on_partition_only enable_vertical_merge_algorithm
    vertical_merge_algorithm_min_rows_to_activate vertical_merge_algorithm_min_columns_to_activate
    allow_experimental_replacing_merge_with_cleanup enable_replacing_merge_with_cleanup_for_min_age_to_force_merge
    ratio_of_defaults_for_sparse_serialization deduplicate_merge_projection_mode lightweight_mutation_projection_mode
    enable_block_number_column enable_block_offset_column add_minmax_index_for_numeric_columns
    add_minmax_index_for_string_columns exclude_deleted_rows_for_part_size_in_merge
    """
)


def parse_settings(text: str) -> dict[str, SettingValue]:
    """Return the settings `text` spells: `name = value, …`.

    Raises:
        SchemaError: it is no such list, or a setting is not allowed.
    """
    scanner = Scanner(text)
    found: dict[str, SettingValue] = {}
    while True:
        token = scanner.expect_kind("word")
        if token.lower not in _ALLOWED:
            raise scanner.fail(f"Setting '{token.text[:64]}' is not allowed in engine_settings", token)
        scanner.expect("=")
        found[token.lower] = _value(scanner)
        if not scanner.accept(","):
            scanner.expect_end()
            return found


def render_settings(settings: Mapping[str, SettingValue]) -> str:
    """Return `name = value, …` as SQL; "" for none."""
    return ", ".join(f"{name} = {_rendered(value)}" for name, value in settings.items())


def _value(scanner: Scanner) -> SettingValue:
    if scanner.at("true", "false"):
        return scanner.advance().lower == "true"
    token = scanner.expect_kind("number", "string")
    if token.kind == "string":
        return decode_string(token.text)
    if token.text.isdigit() and len(token.text) <= 20:
        return int(token.text)
    try:
        value = float(token.text)
    except ValueError:
        raise scanner.fail(token=token) from None
    if not math.isfinite(value):
        raise scanner.fail(token=token)
    return value


def _rendered(value: SettingValue) -> str:
    if isinstance(value, bool):
        return "1" if value else "0"
    if isinstance(value, str):
        return quote_string(value)
    return str(value)
