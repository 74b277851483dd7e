select 1

SELECT 1 AS one, 'two' AS two, NULL AS nothing, true AS yes, false AS no

SELECT count() FROM events

SELECT COUNT(*) FROM events

SELECT count(*), Count(), SUM(amount), Avg(amount) FROM events

SELECT count(DISTINCT country) FROM events

SELECT COUNT(DISTINCT country, user_id) FROM events

SELECT DISTINCT country FROM events ORDER BY country

SELECT country, count() AS hits FROM events GROUP BY country ORDER BY hits DESC, country LIMIT 3

SELECT country, sum(amount) FROM events WHERE user_id > 3 AND NOT (country = 'ES') GROUP BY country HAVING sum(amount) > 10 ORDER BY 1

SELECT * FROM events ORDER BY id LIMIT 2

SELECT * EXCEPT (attrs, j) FROM events ORDER BY id LIMIT 2

SELECT * EXCEPT attrs FROM events ORDER BY id LIMIT 2

SELECT * REPLACE (id + 1 AS id) FROM events ORDER BY id LIMIT 2

SELECT * EXCEPT (j) REPLACE (upper(country) AS country) FROM events ORDER BY id LIMIT 2

SELECT COLUMNS('^(id|user_id)$') FROM events ORDER BY id LIMIT 2

SELECT COLUMNS(id, amount) APPLY(sum) FROM events

SELECT COLUMNS('amount|price') APPLY(toString) APPLY(length) FROM events ORDER BY id LIMIT 2

SELECT events.* FROM events ORDER BY id LIMIT 1

SELECT e.id, e.country FROM events AS e ORDER BY e.id LIMIT 2

SELECT e.id, e.country FROM events e ORDER BY e.id LIMIT 2

SELECT events.id FROM events ORDER BY events.id LIMIT 2

SELECT sumIf(amount, country = 'ES'), countIf(user_id > 2), avgIf(amount, amount > 5) FROM events

SELECT uniq(user_id), uniqExact(user_id), uniqExactIf(user_id, country = 'US'), uniqHLL12(country) FROM events

SELECT quantile(0.5)(amount), quantiles(0.25, 0.5, 0.9)(amount), quantileExact(0.9)(user_id), median(amount) FROM events

SELECT quantileTDigestIf(0.5)(amount, user_id > 1), quantileTiming(0.9)(user_id) FROM events

SELECT argMax(country, ts), argMin(country, ts), anyLast(country) IN ('ES', 'US', 'FR', 'DE') FROM events

SELECT topK(3)(country), groupArray(2)(id), groupUniqArray(1)(1), arraySort(groupArray(id)) FROM events

SELECT arraySort(groupUniqArray(country)) AS a, length(a), a[1], a[-1] FROM events

SELECT countMerge(hits), uniqMerge(users), sumMerge(total) FROM daily

SELECT day, countMerge(hits) AS h, avgMerge(mean) AS m FROM daily GROUP BY day ORDER BY day

SELECT finalizeAggregation(sumState(amount)) FROM events

SELECT sumMergeState(total) AS t, toTypeName(t) FROM daily

SELECT uniqMergeIf(users, day > toDate('2024-01-01')) FROM daily

SELECT sumOrNull(amount), sumOrDefaultIf(amount, 0), countIf(0) FROM events

SELECT sumMap(map('a', 1)), sumForEach(nums) FROM events

SELECT sumArray(nums), countArrayIf(nums, notEmpty(nums)), maxArray(nums) FROM events

SELECT sumResample(0, 10, 5)(amount, user_id) FROM events

SELECT arrayMap(x -> x * 2, [1, 2, 3]) AS doubled

SELECT arrayMap((x, y) -> x + y, [1, 2], [3, 4]), arrayFilter(x -> x % 2 = 0, range(10))

SELECT arrayFold((acc, x) -> acc + x, [1, 2, 3], toInt64(0)), arrayReduce('sum', [1, 2, 3]), arraySum(x -> x * x, [1, 2, 3])

SELECT id, arrayMap(t -> concat(t, '!'), tags) AS shouted, arrayExists(t -> t = 'a', tags), has(tags, 'a') FROM events ORDER BY id LIMIT 5

SELECT arrayMap((k, v) -> (k, v), mapKeys(attrs), mapValues(attrs)) FROM events ORDER BY id LIMIT 3

SELECT arraySort(x -> -x, [3, 1, 2]), arrayReverseSort([1, 3, 2]), arrayFirst(x -> x > 1, [1, 2, 3]), arrayZip([1, 2], ['a', 'b'])

SELECT arraySort((x, y) -> y, [1, 2, 3], [3, 2, 1]), arrayCumSum([1, 1, 1]), arrayEnumerate([5, 6]), arrayStringConcat(['a', 'b'], ',')

SELECT attrs['k'], attrs['missing'], mapContains(attrs, 'k') FROM events ORDER BY id LIMIT 3

SELECT map('x', 1, 'y', 2)['y'], map('x', 1)['nope']

SELECT pair.1, pair.2, pair.a, pair.b, tupleElement(pair, 'a') FROM events ORDER BY id LIMIT 3

SELECT (1, 'a').1, (1, 'a').2, tuple(1, 2).1, ((1, 2), 3).1.2

SELECT j.a, j.b.c, j.missing FROM events ORDER BY id LIMIT 4

SELECT j.a::String, toString(j.b.c), j.a.:Int64 FROM events ORDER BY id LIMIT 4

SELECT e.j.b.c AS c FROM events e ORDER BY e.id LIMIT 4

SELECT x.a[].b, x.a[].b.:Int64 FROM (SELECT '{"a":[{"b":1},{"b":2}]}'::JSON AS x)

SELECT x.^a FROM (SELECT '{"a":{"b":1}}'::JSON AS x)

SELECT JSONExtractString(s, 'name'), JSONExtractInt(s, 'n'), JSONExtract(s, 'list', 'Array(UInt8)'), JSONHas(s, 'name') FROM events ORDER BY id LIMIT 3

SELECT JSONExtractRaw(s, 'deep', 'a', 1), JSON_VALUE(s, '$.name'), simpleJSONExtractString(s, 'name'), visitParamExtractString(s, 'name') FROM events ORDER BY id LIMIT 3

SELECT JSONLength(s), JSONType(s, 'n'), JSONExtractKeys(s) FROM events ORDER BY id LIMIT 3

SELECT '1'::UInt8, 1::String, '2024-01-01'::Date, 1.5::Decimal(10, 2), [1, 2]::Array(UInt8)

SELECT 'x'::LowCardinality(String), NULL::Nullable(Int32), (1, 'a')::Tuple(a UInt8, b String), map('a', 1)::Map(String, UInt64)

SELECT CAST('1' AS UInt8), CAST('1', 'UInt8'), CAST(1 AS Nullable(String)), CAST([1, 2], 'Array(String)'), cast(1 as Int32)

SELECT CAST(1 AS Int), CAST(1 AS INTEGER), CAST(1 AS BIGINT), CAST('a' AS VARCHAR), CAST(1 AS DOUBLE), CAST(1 AS TINYINT), CAST('a' AS TEXT)

SELECT CAST('a' AS Enum8('a' = 1, 'b' = 2)), CAST('a' AS Enum('a', 'b')), CAST('2024-01-01 00:00:00' AS DateTime('UTC')), CAST('2024-01-01 00:00:00.123' AS DateTime64(3, 'Europe/Madrid')), CAST('ab' AS FixedString(2))

SELECT toUInt8OrZero('x'), toInt32OrNull('7'), toFloat64('1.5'), toDecimal64('1.23', 2), accurateCastOrNull('x', 'UInt8')

SELECT toDate('2024-01-02') + 1, toDateTime('2024-01-02 03:04:05', 'UTC') + INTERVAL 1 DAY, toDate('2024-01-31') + INTERVAL 1 MONTH

SELECT toDateTime('2024-01-02 03:04:05', 'UTC') - INTERVAL 2 HOUR, toDateTime('2024-01-02 03:04:05', 'UTC') + toIntervalMinute(5), addDays(toDate('2024-01-01'), 3)

SELECT INTERVAL 1 WEEK, INTERVAL '3' DAY, INTERVAL '1 day', INTERVAL 2 quarter, INTERVAL '2 hours' + INTERVAL 1 minute

SELECT count() FROM events WHERE ts >= toDateTime('2024-01-01 00:00:00') - INTERVAL (1 + 1) DAY

SELECT toStartOfInterval(ts, INTERVAL 15 MINUTE) AS t, count() FROM events GROUP BY t ORDER BY t LIMIT 4

SELECT toStartOfHour(ts) AS h, count() c FROM events GROUP BY h ORDER BY h LIMIT 4

SELECT toStartOfDay(ts), toStartOfMonth(ts), toStartOfMinute(ts), toStartOfWeek(ts, 1), toMonday(ts), toYYYYMM(ts), toDayOfWeek(ts), toHour(ts) FROM events ORDER BY id LIMIT 2

SELECT formatDateTime(ts, '%Y-%m-%d %H:%i:%S'), toUnixTimestamp(ts), dateName('month', ts), toTimeZone(ts, 'Asia/Tokyo') FROM events ORDER BY id LIMIT 2

SELECT dateDiff('day', toDate('2024-01-01'), toDate('2024-02-01')), date_diff(hour, toDateTime('2024-01-01 00:00:00'), toDateTime('2024-01-01 05:00:00')), DATEDIFF(day, toDate('2024-01-01'), toDate('2024-02-01'))

SELECT date_add(DAY, 3, toDate('2024-01-01')), dateSub(MONTH, 1, toDate('2024-03-01')), DATE_ADD(toDate('2024-01-01'), INTERVAL 3 DAY), timestampAdd(HOUR, 2, toDateTime('2024-01-01 00:00:00', 'UTC'))

SELECT date_trunc('month', ts), dateTrunc('hour', ts), toStartOfInterval(ts, toIntervalHour(6)) FROM events ORDER BY id LIMIT 2

SELECT EXTRACT(YEAR FROM ts), EXTRACT(month FROM ts), extract(s, '"name":"(\\w+)"'), extractAll('a1b2', '\\d') FROM events ORDER BY id LIMIT 2

SELECT DATE '2024-01-02', TIMESTAMP '2024-01-02 03:04:05', toDate32('2024-01-01')

SELECT parseDateTimeBestEffort('2024-01-01T00:00:00Z'), parseDateTime64BestEffortOrNull('nope'), fromUnixTimestamp64Milli(toInt64(1704067200123), 'UTC')

SELECT id FROM events WHERE ts BETWEEN '2024-01-01 00:00:00' AND '2024-01-02 00:00:00' ORDER BY id LIMIT 5

SELECT id FROM events WHERE id NOT BETWEEN 3 AND 300 AND country IS NOT NULL ORDER BY id

SELECT id FROM events WHERE country IN ('ES', 'US') AND user_id NOT IN (1, 2) ORDER BY id LIMIT 5

SELECT id FROM events WHERE country IN ('ES') ORDER BY id LIMIT 5

SELECT id FROM events WHERE country IN 'ES' ORDER BY id LIMIT 5

SELECT id FROM events WHERE (country, user_id) IN (('ES', 1), ('US', 2)) ORDER BY id LIMIT 5

SELECT id FROM events WHERE country IN ['ES', 'US'] ORDER BY id LIMIT 5

SELECT id FROM events WHERE user_id IN (SELECT id FROM users WHERE name LIKE 'a%') ORDER BY id LIMIT 5

SELECT id FROM events WHERE user_id GLOBAL IN (SELECT id FROM users) AND user_id GLOBAL NOT IN (SELECT id FROM users WHERE id = 2) ORDER BY id LIMIT 5

SELECT id FROM events WHERE user_id IN ids ORDER BY id LIMIT 5

SELECT id FROM events WHERE user_id NOT IN ids ORDER BY id LIMIT 5

SELECT id FROM events WHERE user_id IN (ids) ORDER BY id LIMIT 5

SELECT count() FROM events WHERE user_id IN tuple(1, 2) AND 2 IN nums

WITH some AS (SELECT id FROM users WHERE id < 3) SELECT id FROM events WHERE user_id IN some ORDER BY id LIMIT 5

WITH (SELECT max(amount) FROM events) AS top SELECT id, amount / top FROM events ORDER BY id LIMIT 3

WITH 10 AS ten, 'ES' AS here SELECT count() FROM events WHERE amount > ten AND country = here

WITH a AS (SELECT 1 AS x), b AS (SELECT x + 1 AS y FROM a) SELECT * FROM b

WITH x AS (SELECT country, count() AS c FROM events GROUP BY country), y AS (SELECT max(c) AS m FROM x) SELECT country FROM x WHERE c = (SELECT m FROM y) ORDER BY country

WITH RECURSIVE r AS (SELECT 1 AS n UNION ALL SELECT n + 1 FROM r WHERE n < 5) SELECT sum(n) FROM r

WITH (x -> x * 3) AS triple SELECT triple(2), arrayMap(triple, [1, 2])

WITH events AS (SELECT 1 AS id) SELECT id FROM events

SELECT (SELECT count() FROM users) AS n, (SELECT max(id) FROM events)

SELECT count() FROM (SELECT DISTINCT user_id FROM events)

SELECT t.c FROM (SELECT count() AS c FROM events) AS t

SELECT * FROM (SELECT 1 AS a UNION ALL SELECT 2) ORDER BY a

SELECT 1 AS a UNION ALL SELECT 2 AS a UNION ALL SELECT 3 AS a ORDER BY a

SELECT 1 AS a UNION DISTINCT SELECT 1

(SELECT 1 AS a) UNION ALL (SELECT 2 AS a) FORMAT CSV

SELECT number FROM numbers(5) EXCEPT SELECT 3

SELECT number FROM numbers(5) INTERSECT SELECT number FROM numbers(2, 5)

SELECT e.id, u.name FROM events e JOIN users u ON e.user_id = u.id ORDER BY e.id LIMIT 3

SELECT e.id, u.name FROM events AS e INNER JOIN users AS u ON e.user_id = u.id AND u.id > 1 ORDER BY e.id LIMIT 3

SELECT events.id, users.name FROM events LEFT JOIN users ON events.user_id = users.id ORDER BY events.id LIMIT 5

SELECT id, name FROM events LEFT OUTER JOIN (SELECT id AS user_id, name FROM users) u USING (user_id) ORDER BY id LIMIT 3

SELECT id, name FROM events LEFT JOIN (SELECT id AS user_id, name FROM users) AS u USING user_id ORDER BY id LIMIT 3

SELECT e.id, u.name FROM events e ANY LEFT JOIN users u ON e.user_id = u.id ORDER BY e.id LIMIT 3

SELECT e.id, u.name FROM events e LEFT ANY JOIN users u ON e.user_id = u.id ORDER BY e.id LIMIT 3

SELECT count() FROM events e LEFT SEMI JOIN users u ON e.user_id = u.id

SELECT count() FROM events e LEFT ANTI JOIN users u ON e.user_id = u.id

SELECT count() FROM events e RIGHT JOIN users u ON e.user_id = u.id

SELECT count() FROM events e FULL OUTER JOIN users u ON e.user_id = u.id

SELECT count() FROM events CROSS JOIN users

SELECT count() FROM events, users WHERE events.user_id = users.id

SELECT e.id, q.price FROM events e ASOF JOIN quotes q ON e.country = q.sym AND e.ts >= q.ts ORDER BY e.id LIMIT 3

SELECT e.id, q.price FROM events e ASOF LEFT JOIN quotes q ON e.country = q.sym AND e.ts >= q.ts ORDER BY e.id LIMIT 3

SELECT count() FROM events e GLOBAL LEFT JOIN users u ON e.user_id = u.id

SELECT a.id, b.id FROM events a JOIN events b ON a.id = b.id + 1 ORDER BY a.id LIMIT 3

SELECT e.id, u.name, q.price FROM events e JOIN users u ON e.user_id = u.id JOIN quotes q ON q.sym = e.country ORDER BY e.id, q.price LIMIT 4

SELECT * FROM (SELECT 1 AS a) x PASTE JOIN (SELECT 2 AS b) y

SELECT id, tag FROM events ARRAY JOIN tags AS tag ORDER BY id, tag LIMIT 5

SELECT id, tag, num FROM events LEFT ARRAY JOIN tags AS tag, arrayEnumerate(tags) AS num ORDER BY id, num LIMIT 5

SELECT id, tags FROM events ARRAY JOIN tags ORDER BY id, tags LIMIT 5

SELECT id, arrayJoin(tags) AS t FROM events ORDER BY id, t LIMIT 5

SELECT k, v FROM events ARRAY JOIN mapKeys(attrs) AS k, mapValues(attrs) AS v ORDER BY k, v LIMIT 3

SELECT x FROM (SELECT [1, 2, 3] AS xs) ARRAY JOIN xs AS x WHERE x > 1

SELECT id, country, row_number() OVER (PARTITION BY country ORDER BY id) AS rn FROM events ORDER BY id LIMIT 5

SELECT id, sum(amount) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND CURRENT ROW) AS running FROM events ORDER BY id LIMIT 5

SELECT id, avg(amount) OVER w AS a, max(amount) OVER w AS m FROM events WINDOW w AS (PARTITION BY country ORDER BY id ROWS BETWEEN 2 PRECEDING AND 1 FOLLOWING) ORDER BY id LIMIT 5

SELECT id, lagInFrame(id, 1, 0) OVER (ORDER BY id ASC ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) AS prev, leadInFrame(id) OVER (ORDER BY id ROWS BETWEEN UNBOUNDED PRECEDING AND UNBOUNDED FOLLOWING) AS next FROM events ORDER BY id LIMIT 5

SELECT id, rank() OVER (ORDER BY country), dense_rank() OVER (ORDER BY country), first_value(id) OVER (PARTITION BY country ORDER BY id) FROM events ORDER BY id LIMIT 5

SELECT id, count() OVER () AS n, sumIf(amount, user_id = 1) OVER (PARTITION BY country) FROM events ORDER BY id LIMIT 5

SELECT id, sum(amount) OVER (PARTITION BY country ORDER BY user_id RANGE BETWEEN 1 PRECEDING AND CURRENT ROW) FROM events ORDER BY id LIMIT 5

SELECT id, quantile(0.5)(amount) OVER (PARTITION BY country) FROM events ORDER BY id LIMIT 5

SELECT id, country, row_number() OVER (PARTITION BY country ORDER BY id) AS rn FROM events QUALIFY rn = 1 ORDER BY id

SELECT country, id FROM events ORDER BY country, id LIMIT 1 BY country

SELECT country, id FROM events ORDER BY country, id LIMIT 1, 2 BY country

SELECT country, id FROM events ORDER BY country, id LIMIT 1 OFFSET 1 BY country LIMIT 5

SELECT id FROM events ORDER BY id LIMIT 2, 3

SELECT id FROM events ORDER BY id LIMIT 3 OFFSET 2

SELECT id FROM events ORDER BY id OFFSET 2 ROWS FETCH FIRST 3 ROWS ONLY

SELECT country FROM events ORDER BY country LIMIT 1 WITH TIES

SELECT country, count() FROM events GROUP BY country WITH TOTALS ORDER BY country

SELECT country, user_id, count() FROM events GROUP BY country, user_id WITH ROLLUP ORDER BY country, user_id, count()

SELECT country, user_id, count() FROM events GROUP BY ROLLUP(country, user_id) ORDER BY country, user_id, count()

SELECT country, user_id, count() FROM events GROUP BY country, user_id WITH CUBE ORDER BY country, user_id, count()

SELECT country, user_id, count() FROM events GROUP BY CUBE(country, user_id) ORDER BY country, user_id, count()

SELECT country, user_id, count(), grouping(country) FROM events GROUP BY GROUPING SETS ((country, user_id), (country), ()) ORDER BY country, user_id, count()

SELECT country, count() FROM events GROUP BY ALL ORDER BY ALL

SELECT country, count() AS c FROM events GROUP BY ALL WITH TOTALS SETTINGS max_threads = 1

SELECT country, count() AS format FROM events GROUP BY country, 1 WITH CUBE HAVING format > 0 ORDER BY ALL

SELECT count() AS c FROM (SELECT country AS format FROM events) GROUP BY format WITH ROLLUP WITH TOTALS ORDER BY c

SELECT sum(c) FROM (SELECT country, count() AS c FROM events GROUP BY ALL) UNION ALL SELECT count() FROM events GROUP BY ALL

SELECT country AS c, count() FROM events GROUP BY 1 ORDER BY 2 DESC, c ASC

SELECT n FROM events ORDER BY n ASC NULLS FIRST, id LIMIT 5

SELECT n FROM events ORDER BY n DESC NULLS LAST, id LIMIT 5

SELECT country FROM events ORDER BY country COLLATE 'en', id LIMIT 3

SELECT toDate('2024-01-01') + number * 2 AS d, number FROM numbers(3) ORDER BY d WITH FILL STEP 1

SELECT number AS n, 'x' AS v FROM numbers(1, 2) ORDER BY n WITH FILL FROM 0 TO 6 STEP 2 INTERPOLATE (v AS 'filled')

SELECT toStartOfDay(ts) AS d, count() FROM events GROUP BY d ORDER BY d WITH FILL FROM toDateTime('2024-01-01 00:00:00') TO toDateTime('2024-01-04 00:00:00') STEP INTERVAL 1 DAY

SELECT id, v FROM versions FINAL ORDER BY id

SELECT id, v FROM versions AS x FINAL WHERE v > 0 ORDER BY id

SELECT count() FROM events SAMPLE 1

SELECT count() > 0 FROM events SAMPLE 1/2

SELECT count() >= 0 FROM events SAMPLE 0.5 OFFSET 0.5

SELECT count() > 0, any(_sample_factor) >= 1 FROM events SAMPLE 100000

SELECT count() FROM events PREWHERE country = 'ES' WHERE amount > 1

SELECT count() FROM events PREWHERE user_id = 1

SELECT if(amount > 10, 'big', 'small') AS size, count() FROM events GROUP BY size ORDER BY size

SELECT amount > 10 ? 'big' : 'small' AS size, count() FROM events GROUP BY size ORDER BY size

SELECT multiIf(amount < 3, 'low', amount < 7, 'mid', 'high') AS band, count() FROM events GROUP BY band ORDER BY band

SELECT CASE WHEN country = 'ES' THEN 1 WHEN country = 'US' THEN 2 ELSE 0 END AS c, CASE country WHEN 'ES' THEN 'Spain' ELSE 'other' END FROM events ORDER BY id LIMIT 4

SELECT coalesce(n, 0), ifNull(n, -1), nullIf(n, 3), isNull(n), n IS NULL, n IS NOT NULL, assumeNotNull(n) FROM events WHERE id > 0 ORDER BY id LIMIT 4

SELECT country || '-' || toString(id), concat(country, '/', s) FROM events ORDER BY id LIMIT 2

SELECT s LIKE '%name%', s ILIKE '%NAME%', s NOT LIKE 'x', match(s, 'n[a]me'), s REGEXP 'name', country NOT ILIKE 'e_' FROM events ORDER BY id LIMIT 2

SELECT splitByChar(',', 'a,b,c'), splitByString('--', 'a--b'), substring('hello', 2, 3), position('hello', 'l'), replaceRegexpAll('a1b2', '[0-9]', ''), lower('ABC'), UPPER('abc'), trim('  x '), length('añb'), lengthUTF8('añb')

SELECT SUBSTRING('hello' FROM 2 FOR 3), TRIM(BOTH 'x' FROM 'xxaxx'), TRIM(LEADING 'x' FROM 'xxa'), POSITION('l' IN 'hello'), ltrim('  x'), left('hello', 2), right('hello', 2)

SELECT 'it''s', 'it\'s', 'back\\slash', 'tab\tnew\nline', '\x41\0', 'regex \d+ \w', 'unicode ñ 你好 🎉', ''

SELECT 1 + 2 * 3 - 4 / 5 % 6, 7 DIV 2, 7 % 4, -5, - -5, +3, 1e3, 0.5, 5., 1_000, 0xFF, 0b101, -1.5e-3

SELECT 1 = 1, 1 == 1, 1 != 2, 1 <> 2, 1 < 2, 1 >= 2, NOT 1, 1 AND 0 OR 1, NOT 1 = 2, (1, 2) = (1, 2), 1 <=> NULL

SELECT 18446744073709551615, -9223372036854775808, 340282366920938463463374607431768211455::UInt128, 0.1 + 0.2, inf, -inf, nan

SELECT [1, 2, 3][2], [[1], [2, 3]][2][1], array(1, 2), [], ['a', 'b'], tuple(1, 'a', [1]), (1, 2)

SELECT bitAnd(5, 3), bitOr(5, 3), xor(1, 0), intDiv(7, 2), modulo(7, 4), round(1.2345, 2), floor(1.5), abs(-1), greatest(1, 2), least(1, 2), pow(2, 3), sqrt(4)

SELECT cityHash64('a'), sipHash64('a'), hex(MD5('a')), lower(hex(SHA256('a'))), halfMD5('a'), xxHash64('a'), crc32('a'), base64Encode('a')

SELECT domain('https://www.example.com/a?b=1'), path('https://example.com/a'), extractURLParameter('http://e.com/?a=1', 'a'), cutQueryString('http://e.com/?a=1'), domainWithoutWWW('http://www.e.com')

SELECT toUUID('61f0c404-5cb3-11e7-907b-a6006ad3dba0'), toIPv4('1.2.3.4'), IPv4NumToString(toUInt32(1)), isIPAddressInRange('10.0.0.1', '10.0.0.0/8'), IPv4StringToNum('1.2.3.4')

SELECT geohashEncode(-5.6, 42.6), greatCircleDistance(0, 0, 1, 1) > 0, pointInPolygon((1, 1), [(0, 0), (2, 0), (2, 2), (0, 2)])

SELECT number, number * 2 AS dbl FROM numbers(3)

SELECT sum(number) FROM numbers(10, 5)

SELECT count() FROM (SELECT * FROM numbers_mt(1000))

SELECT count() FROM zeros(7)

SELECT * FROM generate_series(1, 7, 3)

SELECT * FROM values('a UInt8, b String', (1, 'x'), (2, 'y'))

SELECT * FROM VALUES('a UInt8', 1, 2)

SELECT count() FROM (SELECT * FROM generateRandom('a UInt8, b String', 1, 10, 2) LIMIT 5)

SELECT count() FROM null('x UInt8')

SELECT number FROM system.numbers LIMIT 3

SELECT dummy FROM system.one

SELECT number FROM system.numbers AS n WHERE n.number % 2 = 0 LIMIT 2

SELECT count() > 1000 FROM system.functions

SELECT `id`, "country" FROM `events` ORDER BY "id" LIMIT 2

SELECT `weird name`, `con-dash` FROM odd

SELECT id AS `weird alias`, country AS "other alias" FROM events ORDER BY id LIMIT 1

SELECT id AS `select`, `select` + 1 AS `from` FROM events ORDER BY id LIMIT 1

SELECT -- a comment
  id /* inline */ FROM events -- the end
ORDER BY id LIMIT 1

SELECT 1 # hash comment

SELECT id FROM events ORDER BY id LIMIT 1;

SELECT id FROM events ORDER BY id LIMIT 1 FORMAT JSON

SELECT id FROM events ORDER BY id LIMIT 1
format CSVWithNames

SELECT id FROM events ORDER BY id LIMIT 1 SETTINGS max_threads = 1

SELECT id FROM events ORDER BY id LIMIT 1 SETTINGS max_threads = 1, max_execution_time = 5 FORMAT TSV

SELECT id FROM events ORDER BY id LIMIT 1 FORMAT TSV SETTINGS max_threads = 1

SELECT * FROM (SELECT id FROM events ORDER BY id LIMIT 3 SETTINGS max_threads = 1) LIMIT 100 FORMAT JSON

SELECT formatRowNoNewline('JSONEachRow', id, country) FROM events ORDER BY id LIMIT 2

SELECT formatRow('CSV', *) FROM users ORDER BY id LIMIT 2

SELECT any(country) IGNORE NULLS IN ('ES', 'US', 'FR', 'DE'), first_value(n) RESPECT NULLS FROM (SELECT * FROM events ORDER BY id)

SELECT sum(amount) FILTER (WHERE country = 'ES') FROM events

SELECT transform(country, ['ES', 'US'], ['Spain', 'States'], 'other') AS c, count() FROM events GROUP BY c ORDER BY c

SELECT windowFunnel(3600)(ts, country = 'ES', country = 'US') FROM events

SELECT sequenceMatch('(?1)(?2)')(ts, country = 'ES', country = 'US'), retention(country = 'ES', country = 'US') FROM events

SELECT histogram(3)(amount), length(sparkbar(5)(id, amount)) > 0, simpleLinearRegression(id, amount).1 > -100 FROM events

SELECT rowNumberInAllBlocks(), rowNumberInBlock(), materialize(id) FROM (SELECT id FROM events ORDER BY id LIMIT 3)

SELECT now() > toDateTime('2020-01-01 00:00:00'), today() >= toDate('2020-01-01'), yesterday() < today(), now64(3) > '2020-01-01 00:00:00'

SELECT id FROM events WHERE ts < now() - INTERVAL 1 DAY AND day >= today() - 100000 ORDER BY id LIMIT 2

SELECT DISTINCT ON (country) country, id FROM events ORDER BY country, id

SELECT count() AS count, max(id) AS max, min(id) AS min FROM events

SELECT countIf(country = 'ES') * 100.0 / count() AS share, round(share, 1) FROM events

SELECT toString(id) AS id_text, id_text || '!' AS loud FROM events ORDER BY id LIMIT 2

SELECT lower(country) AS lc, count() AS c FROM events WHERE lc != 'de' GROUP BY lc HAVING c > 1 ORDER BY c DESC, lc LIMIT 10

FROM events SELECT id ORDER BY id LIMIT 2

SELECT * FROM events AS e WHERE e.id IN (SELECT max(id) FROM events AS e2 GROUP BY e2.country) ORDER BY e.id LIMIT 2

SELECT * FROM users WHERE EXISTS (SELECT 1 FROM events WHERE id = 1) ORDER BY id

SELECT id FROM events WHERE id = ANY (SELECT id FROM users) ORDER BY id LIMIT 3

SELECT id FROM events WHERE id >= ALL (SELECT id FROM events) ORDER BY id LIMIT 3

SELECT id FROM events LIMIT 0

SELECT toTypeName(1), toTypeName(pair), toTypeName(attrs), toTypeName(n), toTypeName([1, NULL]) FROM events LIMIT 1

SELECT count() FROM events WHERE has(['ES', 'US'], country) AND notEmpty(tags) AND length(tags) BETWEEN 1 AND 5

SELECT dictionary, format, settings, sample, final, date, key, value, first, last, comment, view FROM (SELECT 1 AS dictionary, 2 AS format, 3 AS settings, 4 AS sample, 5 AS final, 6 AS date, 7 AS key, 8 AS value, 9 AS first, 10 AS last, 11 AS comment, 12 AS view)

SELECT timestamp, date, day, hour, month, year, type, name, user, index, row, rows, offset, end, begin, percent, limit FROM (SELECT 1 AS timestamp, 2 AS date, 3 AS day, 4 AS hour, 5 AS month, 6 AS year, 7 AS type, 8 AS name, 9 AS user, 10 AS index, 11 AS row, 12 AS rows, 13 AS offset, 14 AS `end`, 15 AS begin, 16 AS percent, 17 AS `limit`)

SELECT id, mapFilter((k, v) -> k = 'k', attrs), mapApply((k, v) -> (upper(k), v), attrs) FROM events ORDER BY id LIMIT 2

SELECT tuple(*) FROM users ORDER BY id LIMIT 1

SELECT untuple(pair) FROM events ORDER BY id LIMIT 1

SELECT groupArray((id, country))[1].2 IN ('ES', 'US', 'FR', 'DE') FROM events

SELECT (number, number + 1) AS t, t.1 + t.2 FROM numbers(2)

SELECT arrayElement(nums, 1), nums[1] + nums[2], empty(nums), arrayDistinct(nums), indexOf(nums, 2) FROM events ORDER BY id LIMIT 3

SELECT toJSONString(map('a', [1, 2])), toJSONString(pair) FROM events ORDER BY id LIMIT 1

SELECT uuid, ip, price, ts64 FROM events ORDER BY id LIMIT 2

SELECT sum(price), avg(price), max(ts64), min(ip) FROM events

SELECT a, b FROM (SELECT id AS a, country AS b FROM events) WHERE a IN (1, 2, 3) AND b NOT IN ('XX') ORDER BY a

SELECT * FROM (SELECT id, country FROM events ORDER BY id LIMIT 2) AS x JOIN (SELECT id, name FROM users) AS y ON x.id = y.id ORDER BY x.id

SELECT * FROM events_quarantine ORDER BY c__error LIMIT 1

SELECT max(start_datetime) FROM tinybird.pipe_stats_rt

SELECT tinybird.pipe_stats_rt.start_datetime FROM tinybird.pipe_stats_rt ORDER BY 1 LIMIT 1

SELECT p.start_datetime FROM tinybird.pipe_stats_rt AS p WHERE p.pipe_name = 'query_api' ORDER BY 1 LIMIT 1

SELECT NOT country = 'ES', NOT country IN ('ES'), NOT (country = 'ES' OR id = 1) FROM events ORDER BY id LIMIT 3

SELECT -id, -(id), - id + 1, -id::Int8, NOT id::Bool FROM events ORDER BY id LIMIT 3

SELECT 1 IN (1, 2) = 1, 1 + 1 IN (2), 1 < 2 = 1, NULL IS NULL = 1, 'a' LIKE 'a' AND 1

SELECT count() FROM events WHERE 1 AND (country = 'ES' OR (country = 'US' AND (user_id = 1 OR user_id = 2)))

SELECT `events`.`id` FROM `events` WHERE `events`.`country` = 'ES' ORDER BY `events`.`id` LIMIT 1

SELECT arrayMap(x -> (arrayMap(y -> y + x, [1, 2])), [10, 20]), arrayMap((x) -> x, [1])

SELECT id, ROUND(AVG(amount), 2) AS `Average Amount` FROM events GROUP BY id ORDER BY `Average Amount` DESC, id LIMIT 3

SELECT toStartOfInterval(ts, INTERVAL 1 hour) + INTERVAL 30 minute AS half, sum(amount) AS total, total / count() AS mean FROM events WHERE ts > toDateTime('2023-12-31 00:00:00') GROUP BY half ORDER BY half DESC LIMIT 3
