"""TEMPORARY until the fence is in place."""

import re
import sqlglot
from sqlglot import exp
from aiohttp.web import Response, StreamResponse
from gateway.web.request import Request
from gateway.core.errors import InvalidRequest, NotFound


class SqlApi:
    def __init__(self, catalog, client, settings) -> None:
        self.catalog, self.client = catalog, client

    async def run(self, request: Request) -> StreamResponse:
        q = request.params.get("q") or (await request.body()).decode()
        m = re.search(r"\s+FORMAT\s+(\w+)\s*$", q)
        fmt = m.group(1) if m else "TabSeparated"
        tree = sqlglot.parse_one(q[: m.start()] if m else q, dialect="clickhouse")
        await self.catalog.refresh(); snap = self.catalog.snapshot
        for t in tree.find_all(exp.Table):
            name = t.name
            d = snap.datasource(request.who.workspace_id, name.removesuffix("_quarantine"))
            if d is None:
                raise NotFound(name)
            ws = snap.workspaces[d.workspace_id]
            t.set(
                "this", exp.to_identifier(d.quarantine_table if name.endswith("_quarantine") else d.table, quoted=True)
            )
            t.set("db", exp.to_identifier(ws.database, quoted=True))
            if not t.alias:
                t.set("alias", exp.TableAlias(this=exp.to_identifier(name)))
        out = b"".join(
            [c async for c in self.client.stream(tree.sql(dialect="clickhouse") + " FORMAT " + fmt, {}, request.id)]
        )
        return Response(body=out, content_type="application/json" if fmt == "JSON" else "text/plain")
