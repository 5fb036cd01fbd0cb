"""What the server remembers: keys, jobs, outputs and files, in SQLite or PostgreSQL and a folder.

Everything is synchronous; an event loop calls it in threads. Whoever asks is named (`owner`), and
what belongs to another is answered like what does not exist.
"""

from genloom.errors import need

try:
    import alembic  # noqa: F401
    import fsspec  # noqa: F401
    import sqlalchemy  # noqa: F401
except ModuleNotFoundError as error:
    raise need(error.name or "sqlalchemy", "serve", "The server's store") from error

from genloom.serve.store.batches import Batch, Batches
from genloom.serve.store.blobs import Blobs
from genloom.serve.store.database import Store
from genloom.serve.store.errors import (
    Held,
    LeaseLost,
    NotFound,
    QueueFull,
    QuotaSpent,
    Refusal,
    TooFast,
)
from genloom.serve.store.files import File, Files
from genloom.serve.store.folders import Change, Folders
from genloom.serve.store.jobs import Job, Jobs
from genloom.serve.store.keys import Key, Keys, Left
from genloom.serve.store.output import Made, Origin, Record
from genloom.serve.store.pepper import pepper
from genloom.serve.store.records import Records
from genloom.serve.store.rows import Page
from genloom.serve.store.votes import Tally, Votes

__all__ = [
    "Batch",
    "Batches",
    "Blobs",
    "Change",
    "File",
    "Files",
    "Folders",
    "Held",
    "Job",
    "Jobs",
    "Key",
    "Keys",
    "LeaseLost",
    "Left",
    "Made",
    "NotFound",
    "Origin",
    "Page",
    "QueueFull",
    "QuotaSpent",
    "Record",
    "Records",
    "Refusal",
    "Store",
    "Tally",
    "TooFast",
    "Votes",
    "pepper",
]
