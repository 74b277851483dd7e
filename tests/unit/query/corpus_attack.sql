INSERT INTO events VALUES (1)

INSERT INTO events SELECT * FROM users

CREATE TABLE x (a UInt8) ENGINE = Memory

CREATE FUNCTION f AS x -> x

DROP TABLE events

ALTER TABLE events DELETE WHERE 1

TRUNCATE TABLE events

OPTIMIZE TABLE events FINAL

RENAME TABLE events TO x

ATTACH TABLE x

DETACH TABLE events

SYSTEM SHUTDOWN

SYSTEM FLUSH LOGS

KILL QUERY WHERE 1

SET max_threads = 1

USE default

SHOW TABLES

SHOW CREATE TABLE secret

EXISTS TABLE secret

CHECK TABLE events

WATCH events

GRANT ALL ON *.* TO default

BACKUP TABLE secret TO Disk('a', 'b')

RESTORE ALL FROM Disk('a', 'b')

EXPLAIN SELECT * FROM secret

EXPLAIN AST SELECT 1

DESCRIBE TABLE secret

DESC secret

DELETE FROM events WHERE 1

UPDATE events SET id = 1 WHERE 1

PARALLEL WITH SELECT 1

EXECUTE AS default SELECT 1

WITH x AS (SELECT 1) INSERT INTO events SELECT * FROM x

INSERT INTO FUNCTION file('OUTFILE', 'CSV') SELECT 1

SELECT 1; DROP TABLE events

SELECT 1; SELECT * FROM secret

SELECT 1;; SELECT 2

SELECT 1 /* ; */ ; SELECT 2

SELECT 1 -- ;
; SELECT 2

SELECT ';' ; SELECT 2

SELECT '\'; SELECT * FROM secret -- '; SELECT 2

SELECT 'a\\'; SELECT * FROM secret --'

SELECT "a\"; SELECT 2 --"; SELECT 3

SELECT `a\`; SELECT 2 --`; SELECT 3

SELECT $$ ; $$ ; SELECT * FROM secret

SELECT $a$ $b$ ; SELECT * FROM secret $a$ ; DROP TABLE events

SELECT 1 /* /* */ ; SELECT * FROM secret */

SELECT 1 #
; SELECT * FROM secret

/* DROP */ DROP /* */ TABLE events

SEL/**/ECT 1

SELECT /*+ x */ * FROM secret

SELECT 1 INTO OUTFILE 'OUTFILE'

SELECT * FROM events INTO OUTFILE 'OUTFILE' FORMAT CSV

SELECT 1 AS INTO OUTFILE 'OUTFILE'

SELECT 1 INTO OUTFILE 'OUTFILE' TRUNCATE

SELECT (SELECT 1 INTO OUTFILE 'OUTFILE')

SELECT 1 UNION ALL SELECT 2 INTO OUTFILE 'OUTFILE'

SELECT 1 FORMAT Null

SELECT 1 FORMAT Template

SELECT 1 FORMAT CapnProto

SELECT 1 FORMAT SQLInsert

SELECT 1 FORMAT JSON FORMAT CSV

SELECT * FROM (SELECT 1 FORMAT CSV)

SELECT 1 FORMAT JSON; SELECT 1

SELECT 1 FORMAT `JSON INTO OUTFILE 'OUTFILE'`

SELECT 1 FORMAT "JSON"; DROP TABLE events

SELECT 1 FORMAT JSON SETTINGS readonly = 0

SELECT 1 SETTINGS readonly = 0

SELECT 1 SETTINGS max_result_rows = 0

SELECT 1 SETTINGS max_rows_to_read = 0

SELECT 1 SETTINGS max_bytes_to_read = 0

SELECT 1 SETTINGS max_block_size = 1

SELECT 1 SETTINGS allow_ddl = 1

SELECT 1 SETTINGS allow_introspection_functions = 1

SELECT 1 SETTINGS max_threads = 1, readonly = 0

SELECT 1 SETTINGS max_threads = DEFAULT

SELECT 1 SETTINGS max_threads = (SELECT 1)

SELECT 1 SETTINGS max_threads = -1

SELECT 1 SETTINGS `max_threads` = 'x'

SELECT 1 SETTINGS log_comment = 'x'

SELECT 1 SETTINGS additional_table_filters = {'x': '1'}

SELECT 1 SETTINGS additional_result_filter = '1'

SELECT * FROM (SELECT 1 SETTINGS readonly = 0)

SELECT * FROM events WHERE id IN (SELECT 1 SETTINGS readonly = 0)

WITH x AS (SELECT 1 SETTINGS readonly = 0) SELECT * FROM x

SELECT 1 UNION ALL SELECT 2 SETTINGS readonly = 0 UNION ALL SELECT 3

SELECT * FROM events SETTINGS max_threads = 1 SETTINGS readonly = 0

SELECT * FROM file('SECRETFILE')

SELECT * FROM file('SECRETFILE', 'LineAsString')

SELECT * FROM `file`('SECRETFILE')

SELECT * FROM File('SECRETFILE')

SELECT * FROM fileCluster('c', 'SECRETFILE')

SELECT * FROM url('http://127.0.0.1:1/', 'CSV', 'a String')

SELECT * FROM urlCluster('c', 'http://127.0.0.1:1/')

SELECT * FROM s3('http://127.0.0.1:1/b', 'CSV')

SELECT * FROM s3Cluster('c', 'http://127.0.0.1:1/b')

SELECT * FROM gcs('http://127.0.0.1:1/b', 'CSV')

SELECT * FROM oss('http://127.0.0.1:1/b', 'CSV')

SELECT * FROM cosn('http://127.0.0.1:1/b', 'CSV')

SELECT * FROM hdfs('hdfs://127.0.0.1:1/b', 'CSV')

SELECT * FROM azureBlobStorage('a', 'b', 'c')

SELECT * FROM remote('127.0.0.1:1', 'default', 'secret')

SELECT * FROM remote('127.0.0.1:1', default.secret)

SELECT * FROM remoteSecure('127.0.0.1:1', 'default', 'secret')

SELECT * FROM cluster('default', default, secret)

SELECT * FROM clusterAllReplicas('default', 'default', 'secret')

SELECT * FROM mysql('127.0.0.1:1', 'd', 't', 'u', 'p')

SELECT * FROM postgresql('127.0.0.1:1', 'd', 't', 'u', 'p')

SELECT * FROM mongodb('127.0.0.1:1', 'd', 't', 'u', 'p', 'a String')

SELECT * FROM redis('127.0.0.1:1', 'k', 'k String')

SELECT * FROM sqlite('SECRETFILE', 't')

SELECT * FROM odbc('DSN=x', 'd', 't')

SELECT * FROM jdbc('x', 'd', 't')

SELECT * FROM bigquery('a', 'b', 'c')

SELECT * FROM ytsaurus('a', 'b', 'c', 'd')

SELECT * FROM executable('id', 'CSV', 'a String')

SELECT * FROM input('a String')

SELECT * FROM format(CSV, '1')

SELECT * FROM format('CSV', 'a String', '1')

SELECT * FROM view(SELECT * FROM secret)

SELECT * FROM viewIfPermitted(SELECT * FROM secret ELSE null('x UInt8'))

SELECT * FROM viewExplain('EXPLAIN', '', (SELECT * FROM secret))

SELECT * FROM eval('SELECT * FROM secret')

SELECT * FROM merge('default', '.*')

SELECT * FROM merge('.*')

SELECT * FROM merge(default, 'secret')

SELECT * FROM loop(default.secret) LIMIT 1

SELECT * FROM loop('default', 'secret') LIMIT 1

SELECT * FROM dictionary('d')

SELECT * FROM mergeTreeIndex('default', 'secret')

SELECT * FROM mergeTreeProjection('default', 'secret', 'p')

SELECT * FROM mergeTreeAnalyzeIndexes('default', 'secret')

SELECT * FROM mergeTreeCodecBlockCounts('default', 'secret')

SELECT * FROM fuzzQuery('SELECT 1', 500, 8956)

SELECT * FROM fuzzJSON('{}')

SELECT * FROM iceberg('http://127.0.0.1:1/b')

SELECT * FROM icebergLocal('SECRETFILE')

SELECT * FROM deltaLake('http://127.0.0.1:1/b')

SELECT * FROM deltaLakeLocal('SECRETFILE')

SELECT * FROM paimonLocal('SECRETFILE')

SELECT * FROM hudi('http://127.0.0.1:1/b')

SELECT * FROM filesystem('SECRETFILE')

SELECT * FROM arrowstream('x')

SELECT * FROM python('x')

SELECT * FROM timeSeriesData('default', 'secret')

SELECT * FROM timeSeriesSelector('default', 'secret', 'up', 1, 2)

SELECT * FROM prometheusQuery('default', 'secret', 'up', 1)

SELECT * FROM primes(3)

SELECT * FROM numbers(3)(1)

SELECT * FROM unknownTableFunction(1)

SELECT * FROM numbers(toUInt64(length(file('SECRETFILE'))))

SELECT * FROM numbers((SELECT max(x) FROM secret))

SELECT * FROM values('a String', file('SECRETFILE'))

SELECT * FROM values(file('SECRETFILE'))

SELECT * FROM values('a UInt8, b String ALIAS file(''SECRETFILE'')', 1)

SELECT b FROM values('a UInt8, b String ALIAS file(''SECRETFILE'')', 1)

SELECT b FROM values('a UInt8, b String DEFAULT file(''SECRETFILE'')', 1)

SELECT b FROM values('a UInt8, b String MATERIALIZED file(''SECRETFILE'')', 1)

SELECT b FROM VALUES('a UInt8, b ALIAS file(''SECRETFILE'')', 1)

SELECT b FROM values('a UInt8, b String /* */ ALIAS file(''SECRETFILE'')', 1)

SELECT b FROM values(concat('a UInt8, b String ALIAS ', 'file(''SECRETFILE'')'), 1)

SELECT b FROM values('a UInt8, `b` String ALIAS file(\'SECRETFILE\')', 1)

SELECT b FROM generateRandom('a UInt8, b String ALIAS file(''SECRETFILE'')') LIMIT 1

SELECT b FROM generateRandom(concat('a UInt8, b String ALIAS ', 'file(''SECRETFILE'')')) LIMIT 1

SELECT b FROM null('a UInt8, b String ALIAS file(''SECRETFILE'')')

SELECT file('SECRETFILE')

SELECT `file`('SECRETFILE')

SELECT "file"('SECRETFILE')

SELECT file  (  'SECRETFILE'  )

SELECT fi/**/le('SECRETFILE')

SELECT ﬁle('SECRETFILE')

SELECT upper(file('SECRETFILE'))

SELECT id FROM events WHERE file('SECRETFILE') != ''

SELECT id FROM events ORDER BY file('SECRETFILE')

SELECT count() FROM events GROUP BY file('SECRETFILE')

SELECT count() FROM events HAVING file('SECRETFILE') != ''

SELECT id FROM events LIMIT length(file('SECRETFILE'))

SELECT id FROM events LIMIT 1 BY file('SECRETFILE')

SELECT sum(id) OVER (PARTITION BY file('SECRETFILE')) FROM events

SELECT sum(id) OVER w FROM events WINDOW w AS (ORDER BY file('SECRETFILE'))

SELECT e.id FROM events e JOIN users u ON file('SECRETFILE') = u.name

SELECT a FROM events ARRAY JOIN [file('SECRETFILE')] AS a

SELECT id FROM events PREWHERE file('SECRETFILE') != ''

SELECT id FROM events QUALIFY file('SECRETFILE') != ''

SELECT * REPLACE (file('SECRETFILE') AS id) FROM events

SELECT CAST(file('SECRETFILE') AS String)

SELECT file('SECRETFILE')::String

SELECT EXTRACT(DAY FROM file('SECRETFILE'))

SELECT TRIM(BOTH 'x' FROM file('SECRETFILE'))

SELECT SUBSTRING(file('SECRETFILE') FROM 1 FOR 100)

SELECT POSITION('x' IN file('SECRETFILE'))

SELECT CASE WHEN 1 THEN file('SECRETFILE') END

SELECT 1 ? file('SECRETFILE') : ''

SELECT [file('SECRETFILE')][1]

SELECT (file('SECRETFILE'), 1).1

SELECT map('a', file('SECRETFILE'))['a']

SELECT arrayMap(x -> file(x), ['SECRETFILE'])

SELECT arrayMap(file, ['SECRETFILE'])

SELECT arrayMap(`file`, ['SECRETFILE'])

SELECT arrayMap((file), ['SECRETFILE'])

SELECT arrayMap((file AS g), ['SECRETFILE'])

SELECT arrayMap(((file)), ['SECRETFILE'])

SELECT arrayMin(file, ['SECRETFILE'])

SELECT arraySort(file, ['SECRETFILE'])

SELECT WITH_X FROM (WITH file AS f SELECT arrayMap(f, ['SECRETFILE']) AS WITH_X)

SELECT arrayMap(f, ['SECRETFILE']), file AS f

WITH x -> file(x) AS f SELECT f('SECRETFILE')

WITH (x -> file(x)) AS f SELECT arrayMap(f, ['SECRETFILE'])

SELECT * APPLY(file) FROM (SELECT 'SECRETFILE' AS a)

SELECT * APPLY file FROM (SELECT 'SECRETFILE' AS a)

SELECT a APPLY(file) FROM (SELECT 'SECRETFILE' AS a)

SELECT COLUMNS('a') APPLY(file) FROM (SELECT 'SECRETFILE' AS a)

SELECT * APPLY(x -> file(x)) FROM (SELECT 'SECRETFILE' AS a)

SELECT * APPLY(`file`) FROM (SELECT 'SECRETFILE' AS a)

SELECT * APPLY(lower) APPLY(file) FROM (SELECT 'SECRETFILE' AS a)

SELECT arrayReduce('groupConcat(file(''SECRETFILE''))', ['a', 'b'])

SELECT arrayReduce(concat('groupConcat(file(', '''SECRETFILE''))'), ['a', 'b'])

SELECT arrayReduce(a, ['a', 'b']) FROM (SELECT 'groupConcat(file(''SECRETFILE''))' AS a)

SELECT arrayReduceInRanges('groupConcat(file(''SECRETFILE''))', [(1, 2)], ['a', 'b'])

SELECT finalizeAggregation(initializeAggregation('groupConcatState(file(''SECRETFILE''))', 'a'))

SELECT arrayMap(arrayReduce, ['groupConcat(file(''SECRETFILE''))'], [['a', 'b']])

SELECT groupConcat(file('SECRETFILE'))(a) FROM values('a String', 'x', 'y')

SELECT structureToCapnProtoSchema('a String ALIAS file(''SECRETFILE'')')

SELECT toTypeName(CAST('', 'AggregateFunction(groupConcat(file(''SECRETFILE'')), String)'))

SELECT ''::AggregateFunction(groupConcat(file('SECRETFILE')), String)

SELECT {a:AggregateFunction(groupConcat(file('SECRETFILE')), String)}

SELECT dictGet('d', 'a', 1)

SELECT dictGetOrDefault('default.d', 'a', 1, 2)

SELECT dictHas('d', 1)

SELECT joinGet('default.secret', 'x', 1)

SELECT joinGet(secret, 'x', 1)

SELECT hasColumnInTable('default', 'secret', 'x')

SELECT getSetting('max_threads')

SELECT getServerSetting('x')

SELECT getMacro('x')

SELECT hostName()

SELECT hostname()

SELECT FQDN()

SELECT fqdn()

SELECT currentDatabase()

SELECT CURRENTDATABASE()

SELECT DATABASE()

SELECT database()

SELECT currentUser()

SELECT USER()

SELECT currentDatabase

SELECT current_database

SELECT CURRENT_USER

SELECT session_user

SELECT currentRequestURL

SELECT currentRequestURL()

SELECT `currentRequestURL`

SELECT getClientHTTPHeader('Authorization')

SELECT arrayMap(getClientHTTPHeader, ['Authorization'])

SELECT showCertificate()

SELECT filesystemAvailable()

SELECT serverUUID()

SELECT uptime()

SELECT tcpPort()

SELECT getOSKernelVersion()

SELECT addressToLine(1)

SELECT demangle('x')

SELECT logTrace('x')

SELECT sleep(3)

SELECT sleepEachRow(1)

SELECT SLEEP(3)

SELECT arrayMap(sleep, [3])

SELECT generateSerialID('x')

SELECT aiGenerate('x', 'y')

SELECT queryID()

SELECT initialQueryID()

SELECT connectionId()

SELECT globalVariable('version')

SELECT __getScalar('x')

SELECT __actionName(1, 'x')

SELECT catboostEvaluate('SECRETFILE', 1)

SELECT unknownFunction(1)

SELECT evalMLMethod(1)()

SELECT default.file('SECRETFILE')

SELECT x.y.file('SECRETFILE')

SELECT * FROM secret

SELECT * FROM `secret`

SELECT * FROM "secret"

SELECT * FROM 'secret'

SELECT * FROM default.secret

SELECT * FROM `default`.`secret`

SELECT * FROM `default.secret`

SELECT * FROM "default"."secret"

SELECT * FROM default . secret

SELECT * FROM default./**/secret

SELECT * FROM phys.t_events

SELECT * FROM phys.t_secret

SELECT * FROM `phys`.t_secret

SELECT * FROM t_secret

SELECT * FROM a.b.c

SELECT * FROM events.secret

SELECT * FROM Events

SELECT * FROM EVENTS

SELECT * FROM еvents

SELECT * FROM “secret”

SELECT * FROM `events\`, \`secret`

SELECT * FROM `events``, ``secret`

SELECT * FROM "events"", ""secret"

SELECT * FROM `events` ` , secret --`

SELECT * FROM system.tables

SELECT * FROM `system`.`tables`

SELECT * FROM system.columns

SELECT * FROM system.query_log

SELECT * FROM system.settings

SELECT * FROM system.users

SELECT * FROM system.numbers, system.tables

SELECT * FROM SYSTEM.one

SELECT * FROM information_schema.tables

SELECT * FROM INFORMATION_SCHEMA.TABLES

SELECT * FROM information_schema.`columns`

SELECT * FROM {t:Identifier}

SELECT * FROM {d:Identifier}.{t:Identifier}

SELECT * FROM default.{t:Identifier}

SELECT {t:Identifier} FROM events

SELECT {t:identifier} FROM events

SELECT {t:`Identifier`} FROM events

SELECT {t:IDENTIFIER}.id FROM events

SELECT 1 IN {t:Identifier}

SELECT (SELECT x FROM secret)

SELECT * FROM events WHERE id IN (SELECT x FROM secret)

SELECT * FROM events WHERE id IN secret

SELECT 42 IN secret

SELECT 42 IN (secret)

SELECT 42 IN ((secret))

SELECT 42 IN `secret`

SELECT 42 IN default.secret

SELECT 42 IN (default.secret)

SELECT 42 NOT IN default.secret

SELECT 42 GLOBAL IN default.secret

SELECT 42 GLOBAL NOT IN (default.secret)

SELECT 42 IN system.tables

SELECT 42 IN phys.t_secret

SELECT 42 IN secret FROM (SELECT 1 AS secret)

SELECT 1 AS `default.secret`, 42 IN default.secret

SELECT arrayMap(y -> (y AS secret), [1]), 42 IN secret

SELECT arrayMap(secret -> 42 IN secret, [[1]])

SELECT (SELECT [1] AS secret), 42 IN secret

SELECT 42 IN (secret AS s)

SELECT 42 IN secret AS s

SELECT 42 IN (secret,)

SELECT (42, 1) IN (secret, secret)

SELECT in(42, secret)

SELECT IN(42, secret)

SELECT `in`(42, secret)

SELECT notIn(42, default.secret)

SELECT globalIn(42, secret)

SELECT nullIn(42, secret)

SELECT arrayMap(in, [42], [secret])

SELECT 42 = ANY (SELECT x FROM secret)

SELECT 42 = ANY secret

SELECT EXISTS (SELECT 1 FROM secret)

SELECT EXISTS secret

SELECT * FROM events JOIN secret USING id

SELECT * FROM events, secret

SELECT * FROM events e, default.secret s

SELECT * FROM events CROSS JOIN default.secret

SELECT * FROM events PASTE JOIN default.secret

SELECT * FROM (SELECT * FROM (SELECT * FROM secret))

SELECT 1 UNION ALL SELECT x FROM secret

SELECT 1 EXCEPT SELECT x FROM secret

SELECT 1 INTERSECT SELECT x FROM secret

(SELECT 1) UNION ALL (SELECT x FROM secret)

SELECT 1 UNION ALL (SELECT 2 UNION ALL (SELECT x FROM secret))

WITH secret AS (SELECT * FROM secret) SELECT * FROM secret

WITH a AS (SELECT * FROM b), b AS (SELECT * FROM secret) SELECT * FROM a

WITH (SELECT x FROM secret) AS y SELECT y

WITH (SELECT groupArray(x) FROM default.secret) AS y SELECT y

SELECT * FROM (WITH secret AS (SELECT 1) SELECT 1) AS a, secret

(WITH secret AS (SELECT 1 AS x) SELECT x FROM secret) UNION ALL SELECT x FROM secret

SELECT x FROM secret UNION ALL WITH secret AS (SELECT 1 AS x) SELECT x FROM secret

WITH secret AS (SELECT 1 AS x) SELECT * FROM secret AS a, default.secret AS b

WITH `_cte1_secret` AS (SELECT 1 AS x) SELECT * FROM `_cte1_secret`, `_cte2_secret`

WITH RECURSIVE secret AS (SELECT 1 AS x UNION ALL SELECT x FROM default.secret) SELECT * FROM secret

WITH 1 AS secret SELECT * FROM secret

SELECT 1 AS secret FROM secret

SELECT secret.x

SELECT default.secret.x

SELECT default.secret.* FROM events

SELECT secret.* FROM events

SELECT COLUMNS('.*') FROM secret

SELECT id FROM events ORDER BY (SELECT x FROM secret)

SELECT id FROM events LIMIT (SELECT x FROM secret)

SELECT sum((SELECT x FROM secret)) OVER () FROM events

SELECT id FROM events ORDER BY id WITH FILL FROM (SELECT x FROM secret)

SELECT 1 AS n ORDER BY n WITH FILL INTERPOLATE (n AS file('SECRETFILE'))

SELECT id FROM events SAMPLE (SELECT x FROM secret)

SELECT e.id FROM events e JOIN users u ON e.id = (SELECT x FROM secret)

SELECT a FROM events ARRAY JOIN (SELECT groupArray(x) FROM secret) AS a

SELECT groupConcat((SELECT toString(max(x)) FROM secret))(name) FROM users

SELECT arrayMap(x -> (SELECT max(x) FROM secret), [1])

SELECT * APPLY(x -> x IN secret) FROM events

SELECT CASE WHEN 42 IN secret THEN 1 END

SELECT [42 IN secret]

SELECT CAST(42 IN secret AS UInt8)

SELECT (42 IN secret)::UInt8

SELECT if(42 IN secret, 1, 0)

SELECT count() FILTER (WHERE 42 IN secret) FROM events

SELECT TOP 1 * FROM secret

SELECT * FROM ONLY secret

TABLE secret

VALUES (1)

FROM secret

FROM secret SELECT *

FROM events |> SELECT id

SELECT * FROM LATERAL (SELECT * FROM secret)

SELECT * FROM UNNEST([1])

SELECT * FROM events PIVOT (sum(id) FOR country IN ('ES'))

SELECT * FROM events MATCH_RECOGNIZE (PATTERN (a) DEFINE a AS 1)

SELECT * FROM events FOR UPDATE

SELECT * INTO x FROM events

SELECT * FROM events TABLESAMPLE (10)

SELECT @@version

SELECT @x

SELECT :x

SELECT ?

SELECT $1

SELECT 1 AS x, (SELECT x2 FROM (SELECT 1 AS x2), secret)

SELECT * FROM events AS secret JOIN default.secret AS events ON 1

SELECT * FROM events, LATERAL VIEW explode(x)

SELECT * FROM events AS x (a, b), secret

SELECT 'a' 'b'

SELECT b'0101'

SELECT '\xff'

SELECT '\xZZ'

SELECT (1

SELECT 1)

SELECT [1)

SELECT '

SELECT "

SELECT /*

SELECT

;

WITH a AS (SELECT 1)

SELECT FROM events

SELECT * FROM

SELECT 1 FROM events WHERE

SELECT 1,

SELECT * FROM events GROUP BY

SELECT * FROM events e JOIN

WITH (a, b) -> 1 AS equals SELECT * FROM events WHERE id = 7

WITH (a, b) -> 1 AS EQUALS SELECT 1

WITH ((a, b) -> 1) AS p, p AS equals SELECT 1 = 2

SELECT ((a, b) -> 1) AS equals, 1 = 2

SELECT (x -> x) AS f, (f AS equals)(1)

WITH x -> 1 AS file SELECT file('SECRETFILE')

WITH x -> 1 AS hostName SELECT hostName(1)
