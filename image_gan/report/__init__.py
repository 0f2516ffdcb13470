"""The program ``image-gan-report``: scored systems in, a page and a table out."""
