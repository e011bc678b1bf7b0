"""One intake for whatever people and vendors deliver as files: exports, settlements, workbooks, costs.

The steps, in order, and where each is done, once for all kinds of file:

- list: ``places`` (a folder, SFTP, S3, any fsspec address), ``local_files`` (one of our folders), within ``bounds``
- repair: ``contents`` (archives, byte order marks, line ends, JSON arrays), ``cutting`` (encodings, quotes, stumps)
- recognise: ``profile_files`` (layouts as TOML), by the kind's own profile model
- type: by the kind, in SQL; ``instants`` reads times
- land, refuse by name, note: ``file_log`` (what is known of a file, what is said of it once), ``rejected`` (quarantine)
- put aside: ``put_aside`` (files that people dropped into one of our folders)

A kind of file is an adapter: ``happy_returns.export_intake``, ``payouts.settlement_intake``, and, for a file that a person gives
and that is answered at once (so that nothing is noted or put into quarantine), ``publishing.workbook_intake`` and
``month_end.cost_intake``.
"""
