"""Auto-create: a data source that does not exist yet is made of the first events sent to it.

Off unless the setting `auto_create` says so, and for those who may create data sources. Numbers are made wide (Int64,
Float64): the first events say little about how large those after them will be. Source: events.md §5.
"""

import asyncio

import structlog

from gateway.auth.principal import Principal
from gateway.auth.scopes import Action
from gateway.catalog import Datasource, check_name
from gateway.control.datasources import DatasourceControl
from gateway.core.errors import Conflict, InvalidRequest
from gateway.ingest.lines import is_blank, split, split_json, why_unreadable
from gateway.schema.datafile import Datafile
from gateway.schema.infer import Inferred, default_engine, infer_lines
from gateway.telemetry.oplog import AuditEntry, OpsLog

_log = structlog.get_logger(__name__)


class AutoCreate:
    """See the module. One per worker."""

    def __init__(self, control: DatasourceControl, ops: OpsLog, *, is_on: bool) -> None:
        self._control = control
        self._ops = ops
        self._is_on = is_on
        self._creating = asyncio.Lock()

    def allows(self, principal: Principal, name: str) -> bool:
        """Say whether `principal` may have the missing data source `name` made.

        Raises:
            InvalidRequest: it could, but no data source may have that name.
        """
        if not (self._is_on and principal.allows(Action.DATASOURCE_CREATE)):
            return False
        check_name(name, "Data Source")
        return True

    async def create(self, principal: Principal, name: str, body: bytes, request_id: str, *, whole: bool) -> Datasource:
        """Make the data source `name` of the events in `body`, or return it if somebody else just made it.

        Raises:
            InvalidRequest: there is no event to make it of; nothing was made.
            GatewayError: as `DatasourceControl.create`.
        """
        inferred = _inferred(body, whole=whole)
        schema = inferred.schema()
        wanted = Datafile(schema, default_engine(schema))
        async with self._creating:  # so that of many first requests to this worker only one makes tables
            made = self._control.known(principal, name, Action.DATASOURCE_APPEND)
            if made is not None:
                return made
            try:
                made = await self._control.create(principal, name, wanted)
            except Conflict:  # another worker was faster
                return await self._control.find(principal, name, Action.DATASOURCE_APPEND)
        self._ops.record(
            AuditEntry(
                workspace_id=principal.workspace_id,
                operation="POST /v0/events",
                status=200,
                token_id=principal.token_id,
                token_name=principal.token_name,
                request_id=request_id,
                resource_type="datasource",
                resource_id=made.id,
                resource_name=made.name,
            )
        )
        _log.info("datasource.auto_created", name=name, columns=len(schema.columns), left_out=inferred.left_out)
        return made


def _inferred(body: bytes, *, whole: bool) -> Inferred:
    lines = split_json(body) if whole else split(body)
    inferred = infer_lines(lines, wide=True)
    if not inferred.events:
        unreadable = next((line for line in lines if not is_blank(line)), None)
        if unreadable is None:
            raise InvalidRequest("The body is empty: send at least one JSON object")
        raise InvalidRequest(why_unreadable(unreadable).reason)
    if not inferred.columns:
        raise InvalidRequest("The events have no values that columns could be made of")
    return inferred
