"""What the reports on systems of both halves share: statistics, tables, curves, the page's looks.

Nothing here knows what was generated; no training imports it.
"""
