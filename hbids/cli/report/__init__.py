"""The verdict as a page (``--report FILE.html``): for those who decide what to do, and for those who look closer.

One file that loads nothing and runs nothing. It is made of the summary, of the history that statistics keep for it, and
of alerts; docs/report.md tells how to read it.
"""

from hbids.cli.report.evidence import Evidence
from hbids.cli.report.page import page

__all__ = ["Evidence", "page"]
