"""``python -m mtrec.report.book FOLDER`` writes the book's sources for Sphinx."""

import sys
from pathlib import Path

from mtrec.paths import find_root
from mtrec.report.book.facts import BookError
from mtrec.report.book.sources import write

if __name__ == "__main__":
    try:
        write(find_root(), Path(sys.argv[1]))
    except BookError as error:
        sys.exit(f"make book: {error}")
