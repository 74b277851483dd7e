"""Backup: a node's directory at one moment, in one file, and back.

    archive   the file: a tar that says at its beginning what it is, and at its end that it is whole      the format
    take      what a backup holds, and how it is of one moment while everything runs
    restore   an archive → an empty directory, checked
    metadata  the metadata, from and to SQLite and PostgreSQL

What a backup holds is what a crash at one moment would have left, so a restored node starts as after a crash: what is
in the log and not in the tables is sent again, under its own ids, which the tables know; jobs go on from their
checkpoints. The moment is made by the engine, which holds back what would write (`engine.hold`): with nothing changing
there, the log, the metadata and the tables can be read one after the other.

    rows answered before it began     in the tables, or in the log
    rows answered while it is taken   may be in it
    a row twice, or in halves         never

With a ClickHouse server the rows are the server's to back up, and a backup holds the metadata alone: no log, whose rows
may be in ClickHouse long before it is restored.
"""
