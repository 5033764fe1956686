"""A report of runs in one HTML page; it needs the extra ``plot``."""

from .page import report_page, write_report

__all__ = ["report_page", "write_report"]
