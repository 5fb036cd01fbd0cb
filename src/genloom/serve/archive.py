"""Several outputs in one ZIP file."""

from __future__ import annotations

import io
import zipfile
from collections.abc import Mapping, Sequence

from starlette.responses import Response

from genloom.serve import media
from genloom.serve.store import Record

MEDIA_TYPE = "application/zip"
EARLIEST = (1980, 1, 1, 0, 0, 0)  # so that the same outputs are the same file


def response(
    records: Sequence[Record | None],
    contents: Sequence[bytes],
    headers: Mapping[str, str] | None = None,
) -> Response:
    """Those outputs that may be seen, as a download.

    Args:
        records: Of the outputs; None for what a filter refused.
        contents: Their bytes.
        headers: More of them.
    """
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as file:  # pictures are compressed already
        for record, content in zip(records, contents, strict=True):
            if record is not None and record.state in ("free", "approved"):
                name = media.file_name(record.id, media.form_of(record.media_type))
                file.writestr(zipfile.ZipInfo(name, EARLIEST), content)
    how = {"content-disposition": 'attachment; filename="outputs.zip"'}
    return Response(out.getvalue(), media_type=MEDIA_TYPE, headers={**(headers or {}), **how})
