"""One intake for whatever people and vendors deliver as files: exports, settlements, workbooks, costs.

The steps, in order, and where each is done, once for all kinds of file:

- list: ``places`` (a folder, SFTP, S3, any fsspec address), ``local_files`` (a folder of ours), within ``bounds``
- repair: ``contents`` (archives, byte order marks, line ends, JSON arrays), ``cutting`` (encodings, quotes, stumps)
- recognise: ``profile_files`` (layouts as TOML), by the kind's own profile model
- type: by the kind, in SQL; ``instants`` reads times
- land, refuse by name, note: ``file_log`` (what is known of a file, what is said of it once), ``rejected`` (quarantine)
- put aside: ``put_aside`` (files that people dropped into a folder of ours)

A kind of file is an adapter: ``happy_returns.ingest``, ``payouts.ingest``, ``publishing.round_trip``, ``month_end.costs``.
"""
