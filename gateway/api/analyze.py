"""Analyze API: `POST /v0/analyze`. Source: analyze.md."""

from pathlib import Path

from aiohttp.web import StreamResponse

from gateway.control.analyze import FILE_BYTES_MAX, AnalyzeControl
from gateway.core.errors import InvalidRequest
from gateway.web.request import Request, json_response
from gateway.web.upload import receive


class AnalyzeApi:
    """Handlers of the family."""

    def __init__(self, control: AnalyzeControl, uploads: Path) -> None:
        """Serve the family; files are received in the directory `uploads`."""
        self._control = control
        self._uploads = uploads

    async def post(self, request: Request) -> StreamResponse:
        """Say what the file in the body, or behind `url`, would be as a data source."""
        self._control.check_may_ask(request.who)
        upload = await receive(request, self._uploads, FILE_BYTES_MAX)
        try:
            if upload.path is not None:
                found = await self._control.file(upload.path, upload.size, upload.encoding, upload.charset)
            elif url := upload.params.get("url"):
                found = await self._control.url(url, self._uploads / request.id)
            else:
                raise InvalidRequest("Send a file as the body, or say with 'url' where one is")
            return json_response(found)
        finally:
            await upload.discard()
