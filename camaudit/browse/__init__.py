"""A run in FiftyOne: export it to a dataset, open it in the App, take it away again."""

from camaudit.browse.app import app
from camaudit.browse.export import to_fiftyone
from camaudit.browse.removal import remove

__all__ = ["app", "remove", "to_fiftyone"]
