"""SQL tools: what command lines ask about a text of SQL before they send it anywhere. Source: query.md §7."""

from collections.abc import Mapping

from gateway.clickhouse.client import Client
from gateway.clickhouse.errors import ServerError
from gateway.control.pipe_sql import SQL_CHARS_MAX
from gateway.core.errors import GatewayError, InvalidRequest, Unavailable
from gateway.query.names import tables_of, with_names
from gateway.templates import compile_template

_FORMAT: str = "SELECT formatQuery({query:String})"


class SqlTools:
    """See the module."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def formatted(self, sql: str) -> str:
        """Return `sql` as ClickHouse writes it; a template, which is no SQL yet, as it is.

        Raises:
            InvalidRequest: it is no SQL, or too long.
            Unavailable: ClickHouse does not answer.
        """
        _check_length(sql)
        if compile_template(sql).is_template:
            return sql
        try:
            rows = await self._client.rows(_FORMAT, {"query": sql})
        except ServerError as error:
            if error.code is None:
                raise Unavailable("ClickHouse does not answer, try again shortly", 1) from error
            raise InvalidRequest(f"[Error] {error}") from error
        return str(rows[0][0])

    def tables(self, sql: str, *, raises: bool, with_functions: bool) -> list[list[str]]:
        """Return the tables that `sql` names, see `tables_of`; nothing of what cannot be read, unless it `raises`.

        Raises:
            InvalidRequest: it cannot be read.
        """
        try:
            _check_length(sql)
            return tables_of(compile_template(sql).check(now=0).sql, with_functions=with_functions)
        except GatewayError:
            if raises:
                raise
            return []

    def replaced(self, sql: str, names: Mapping[str, str | tuple[str, str]]) -> str:
        """Return `sql` with other names for its tables, see `with_names`.

        Raises:
            InvalidRequest: it cannot be read.
        """
        _check_length(sql)
        return with_names(sql, names)


def _check_length(sql: str) -> None:
    if not sql.strip():
        raise InvalidRequest("The 'q' parameter is required: one SELECT")
    if len(sql) > SQL_CHARS_MAX:
        raise InvalidRequest(f"The SQL is too long: {len(sql)} characters, the limit is {SQL_CHARS_MAX}")
