"""The embedded engine: ClickHouse's HTTP protocol over chdb, a process of its own.

    options    EngineOptions
    lock       one process per data directory
    lexer      SQL text → tokens                                              pure
    statement  where the FORMAT clause stands, where the data of an INSERT begins   pure
    call       what one HTTP request asks for                                 pure
    errors     ClickHouse's error codes, and their HTTP status                pure
    coding     bodies compressed and not, in bounded pieces                   pure
    library    chdb: the only module that touches it
    session    what is set on a connection; connections that outlive a request
    links      idle connections, for the next statement that wants the same settings
    runner     statements in threads: slots, sessions, cancelling, draining
    hold       a moment at which nothing changes, for a backup
    door       who asks for one
    body       a request's body, from the loop to a thread
    answer     a statement's bytes, from a pipe to the client
    server     the HTTP side, and the life of the process

A statement runs in one thread on a connection of its own, so no setting and no parameter of one statement can reach
another. A result leaves the engine through a pipe (`INTO OUTFILE '/dev/fd/…'`): it is written
by the engine's own output format, one whole document in every format, and a slow client slows the query instead of
filling memory.

Not here: TLS, users and roles, ClickHouse's native `compress=1` framing, external tables, `input()` with data.
"""
