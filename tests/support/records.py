"""Records of the arXiv snapshot for the tests, one JSON line each."""

import json
from typing import Any

WANTED = ("cs.", "physics.")
REQUIRED = ("id", "title", "abstract", "categories")
AUTHORS = [["Balázs", "C.", ""], ["Berger", "E. L.", ""]]


def record(**fields: Any) -> bytes:
    """Return a line in the form of the snapshot: a valid record of mathematics, changed by ``fields``.

    A field with the value ``...`` is left out.
    """
    content = {"id": "0704.0001", "title": "T", "categories": "math.AG", "abstract": "A", **fields}
    known = {name: value for name, value in content.items() if value is not ...}
    return json.dumps(known | {"authors_parsed": AUTHORS}, separators=(",", ":")).encode()


PHYSICS = record(categories="physics.optics")
