"""The program ``segan-report``: scored systems in, a page to look at and a table to keep out."""
