"""Functions: the one list of what an expression in a schema may call.

DEFAULT, MATERIALIZED, keys, TTLs and index expressions are stored in a table and run by the engine with *our* rights,
at any insert or merge, long after the client that wrote them is gone. The engine takes `DEFAULT file('/etc/passwd')`
without a word. So this is an allow-list, and a function nobody has looked at (new, or user-defined) is refused.

Allowed: what computes a value from its arguments, the clock or a random number, and nothing else.

Refused, with the reason a client hears:

* files, network, certificates, models: `file`, `filesystem*`, `showCertificate`, `ai*`, `evalMLMethod`, …
* other tables, dictionaries, keeper: `joinGet`, `dict*`, `region*`, `hasColumnInTable`, `generateSerialID`, …
* functions that take a table on their right: `in`, `notIn`, `globalIn`, … (the operator IN takes literals only);
* what tells about the server, its users or its settings: `hostName`, `currentUser`, `getSetting`, `version`, …
* what stops an insert or changes the number of rows: `sleep`, `throwIf`, `arrayJoin`, …
* what depends on the block a row happens to arrive in: `blockNumber`, `runningDifference`, `neighbor`, …

Names are compared in lower case: a name in the wrong case is the engine's to refuse. tests/integration/
test_schema_engine.py classifies every function of the engine and fails when one is allowed that was not reviewed.
"""

import re
from typing import Final

from gateway.schema.lexer import words

_NAMES: Final = """
    abs acos acosh asin asinh atan atan2 atanh avg2 cbrt ceil ceiling clamp cos cosh degrees divide divideDecimal
    divideOrNull e erf erfc exp exp2 exp10 factorial floor gcd greatest hypot ifNotFinite intDiv intDivOrNull
    intDivOrZero intExp2 intExp10 isFinite isInfinite isNaN lcm least lgamma ln log log1p log2 log10 max2 midpoint min2
    minus mod modulo moduloOrNull moduloOrZero multiply multiplyDecimal negate pi plus positive_modulo positiveModulo
    pow power radians round roundAge roundBankers roundDown roundDuration roundToExp2 sigmoid sign sin sinh sqr sqrt
    tan tanh tgamma trunc truncate widthBucket width_bucket byteSwap

    and equals greater greaterOrEquals if isDistinctFrom isNotDistinctFrom less lessOrEquals like ilike match
    multiIf not notEquals notILike notLike or xor
    assumeNotNull coalesce firstNonDefault ifNull isNotNull isNull isNullable isZeroOrNull nullIf toNullable
    identity materialize transform defaultValueOfArgumentType defaultValueOfTypeName toTypeName getSizeOfEnumType

    bitAnd bitCount bitHammingDistance bitNot bitOr bitRotateLeft bitRotateRight bitShiftLeft bitShiftRight bitSlice
    bitTest bitTestAll bitTestAny bitXor bin hex unbin unhex char bitmaskToArray bitmaskToList bitPositionsToArray
    hilbertDecode hilbertEncode mortonDecode mortonEncode sqid sqidDecode sqidEncode

    has hasAll hasAny hasSubstr indexOf countEqual empty notEmpty length range replicate reverse flatten
    map mapAdd mapAll mapApply mapConcat mapContains mapContainsKey mapContainsKeyLike mapContainsValue mapExists
    mapExtractKeyLike mapFilter mapFromArrays mapKeys mapSort mapReverseSort mapSubtract mapUpdate mapValues
    extractKeyValuePairs extractKeyValuePairsWithEscaping str_to_map
    tuple tupleConcat tupleElement tupleHammingDistance tupleMinus tuplePlus tupleNames tupleToNameValuePairs
    dotProduct flattenTuple

    cast _CAST accurateCast accurateCastOrDefault accurateCastOrNull reinterpret toBool toString toStringCutToZero
    toFixedString toLowCardinality toDecimalString toInterval toTime parseReadableSize parseReadableSizeOrNull
    parseReadableSizeOrZero parseTimeDelta
    formatReadableSize formatReadableDecimalSize formatReadableQuantity formatReadableTimeDelta

    now now64 nowInBlock nowInBlock64 today yesterday current_timestamp current_date curdate UTCTimestamp
    timezone timeZone timezoneOf timezoneOffset toTimezone toTimeZone toUTCTimestamp fromUTCTimestamp serverTimezone
    age date date_diff dateDiff timestamp_diff timestampDiff dateAdd date_add dateSub date_sub timestampAdd
    timestamp_add timestampSub timestamp_sub addDate subDate addInterval subtractInterval dateName monthName dateTrunc
    date_trunc formatDateTime date_format formatDateTimeInJodaSyntax makeDate makeDate32 makeDateTime makeDateTime64
    timeDiff timeSlot timeSlots timestamp fromUnixTimestamp fromUnixTimestampInJodaSyntax
    fromUnixTimestamp64Micro fromUnixTimestamp64Milli fromUnixTimestamp64Nano fromUnixTimestamp64Second
    toUnixTimestamp toUnixTimestamp64Micro toUnixTimestamp64Milli toUnixTimestamp64Nano toUnixTimestamp64Second
    toYear toQuarter toMonth toWeek toISOWeek toISOYear toYearWeek toDayOfYear toDayOfMonth toDayOfWeek toHour toMinute
    toSecond toMillisecond toMicrosecond toNanosecond toMonday toDaysInMonth toDaysSinceYearZero toLastDayOfMonth
    toLastDayOfWeek toYYYYMM toYYYYMMDD toYYYYMMDDhhmmss toYearNumSinceEpoch toMonthNumSinceEpoch toTimeWithFixedDate
    year quarter month week yearweek dayofyear dayofmonth dayofweek day hour minute second millisecond
    YYYYMMDDToDate YYYYMMDDToDate32 YYYYMMDDhhmmssToDateTime YYYYMMDDhhmmssToDateTime64 parseISO8601Duration
    str_to_date time_bucket date_bin last_day to_days from_days from_unixtime to_unixtime
    tumble tumbleStart tumbleEnd hop hopStart hopEnd changeYear changeMonth changeDay changeHour changeMinute
    changeSecond toModifiedJulianDay toModifiedJulianDayOrNull fromModifiedJulianDay fromModifiedJulianDayOrNull

    appendTrailingCharIfAbsent ascii basename caseFoldUTF8 compareSubstrings concat concat_ws concatAssumeInjective
    concatWithSeparator concatWithSeparatorAssumeInjective conv convertCharset countMatches
    countMatchesCaseInsensitive countSubstrings countSubstringsCaseInsensitive countSubstringsCaseInsensitiveUTF8
    damerauLevenshteinDistance decodeHTMLComponent decodeXMLComponent editDistance editDistanceUTF8 encodeXMLComponent
    endsWith endsWithCaseInsensitive endsWithUTF8 extract extractAll extractAllGroups extractAllGroupsHorizontal
    extractAllGroupsVertical extractGroups extractTextFromHTML firstLine format hasSubsequence
    hasSubsequenceCaseInsensitive hasSubsequenceCaseInsensitiveUTF8 hasSubsequenceUTF8 hasToken
    hasTokenCaseInsensitive hasTokenCaseInsensitiveOrNull hasTokenOrNull hasAllTokens hasAnyTokens initcap
    initcapUTF8 instr isValidASCII isValidUTF8 jaroSimilarity jaroWinklerSimilarity lcase left leftPad leftPadUTF8
    leftUTF8 lengthUTF8 char_length character_length octet_length levenshteinDistance locate lower lowerUTF8 lpad
    ltrim mid naturalSortKey ngramDistance ngramDistanceCaseInsensitive ngramDistanceUTF8 ngrams normalizeUTF8NFC
    normalizeUTF8NFD normalizeUTF8NFKC normalizeUTF8NFKD overlay overlayUTF8 position positionCaseInsensitive
    positionCaseInsensitiveUTF8 positionUTF8 printf regexpExtract regexp_extract regexpPosition regexpQuoteMeta
    regexp_matches regexp_replace regexp_substr removeDiacriticsUTF8 repeat replace replaceAll replaceOne
    replaceRegexpAll replaceRegexpOne reverseUTF8 right rightPad rightPadUTF8 rightUTF8 rpad rtrim soundex space
    splitByAlpha splitByChar splitByNonAlpha splitByRegexp splitByString splitByWhitespace alphaTokens tokens
    startsWith startsWithCaseInsensitive startsWithUTF8 stringJaccardIndex stringJaccardIndexUTF8 substr substring
    substring_index substringIndex substringIndexUTF8 substringUTF8 toValidUTF8 translate translateUTF8 trim trimBoth
    trimLeft trimRight ucase upper upperUTF8 visibleWidth

    base32Decode base32Encode base58Decode base58Encode base64Decode base64Encode base64URLDecode base64URLEncode
    tryBase32Decode tryBase58Decode tryBase64Decode tryBase64URLDecode from_base64 to_base64
    CRC32 CRC32IEEE CRC64 HMAC MD4 MD5 RIPEMD160 SHA1 SHA224 SHA256 SHA384 SHA512 SHA512_256 URLHash cityHash64
    farmFingerprint64 farmHash64 gccMurmurHash halfMD5 hiveHash intHash32 intHash64 javaHash javaHashUTF16LE
    jumpConsistentHash kafkaMurmurHash keccak256 kostikConsistentHash yandexConsistentHash metroHash64 murmurHash2_32
    murmurHash2_64 murmurHash3_128 murmurHash3_32 murmurHash3_64 sipHash128 sipHash128Keyed sipHash128Reference
    sipHash128ReferenceKeyed sipHash64 sipHash64Keyed wyHash64 xxHash32 xxHash64 xxh3 xxh3_128
    encrypt decrypt tryDecrypt aes_encrypt_mysql aes_decrypt_mysql

    rand rand32 rand64 randCanonical randConstant randUniform randNormal randomFixedString randomPrintableASCII
    randomString randomStringUTF8
    generateUUIDv4 generateUUIDv7 generateSnowflakeID UUIDNumToString UUIDStringToNum UUIDToNum UUIDv7ToDateTime
    dateTimeToUUIDv7 dateTimeToSnowflakeID dateTime64ToSnowflakeID snowflakeIDToDateTime snowflakeIDToDateTime64

    cutFragment cutQueryString cutQueryStringAndFragment cutToFirstSignificantSubdomain
    cutToFirstSignificantSubdomainRFC cutToFirstSignificantSubdomainWithWWW cutToFirstSignificantSubdomainWithWWWRFC
    cutURLParameter cutWWW decodeURLComponent decodeURLFormComponent domain domainRFC domainWithoutWWW
    domainWithoutWWWRFC encodeURLComponent encodeURLFormComponent extractURLParameter extractURLParameterNames
    extractURLParameters firstSignificantSubdomain firstSignificantSubdomainRFC fragment netloc path pathFull port
    portRFC protocol queryString queryStringAndFragment topLevelDomain topLevelDomainRFC URLHierarchy
    URLPathHierarchy
    IPv4CIDRToRange IPv4NumToString IPv4NumToStringClassC IPv4StringToNum IPv4StringToNumOrDefault
    IPv4StringToNumOrNull IPv4ToIPv6 IPv6CIDRToRange IPv6NumToString IPv6StringToNum IPv6StringToNumOrDefault
    IPv6StringToNumOrNull cutIPv6 isIPAddressInRange isIPv4String isIPv6String inet_aton inet_ntoa inet6_aton
    inet6_ntoa MACNumToString MACStringToNum MACStringToOUI

    toJSONString isValidJSON JSON_EXISTS JSON_QUERY JSON_VALUE JSON_ARRAY_LENGTH JSONArrayLength jsonMergePatch
    dynamicElement dynamicType variantElement variantType
    greatCircleDistance greatCircleAngle geoDistance geohashDecode geohashEncode geohashesInBox geoToH3 pointInEllipses
    pointInPolygon readWKT readWKB stringToH3 wkt wkb
    L1Distance L1Norm L2Distance L2Norm L2SquaredDistance LinfDistance LinfNorm cosineDistance
    bitmapBuild bitmapToArray bitmapCardinality bitmapContains initializeAggregation finalizeAggregation
"""

# Families whose members follow from each other. A new member of one of these computes a value like the old ones do.
_FAMILIES: Final = re.compile(
    r"""
      (to|reinterpretas)(u?int(8|16|32|64|128|256)|(b?float)(16|32|64)|decimal(32|64|128|256)|date|date32|datetime
          |datetime32|datetime64|time64|uuid|ipv4|ipv6|string|fixedstring)(orzero|ornull|ordefault)?
    | tointerval(nanosecond|microsecond|millisecond|second|minute|hour|day|week|month|quarter|year)
    | (add|subtract)(nano|micro|milli)?seconds | (add|subtract)(minutes|hours|days|weeks|months|quarters|years)
    | tostartof\w+ | torelative\w+num
    | parsedatetime(32|64)?(besteffort|besteffortus|injodasyntax)?(orzero|ornull)?
    | emptyarray(u?int(8|16|32|64)|float(32|64)|date|datetime|string|tosingle)
    | array(?!join$)\w* | array
    | (json|visitparam|simplejson)(extract|has|length|key|type|all|dynamic|shared)\w*
    | multi(search|match|fuzzymatch)\w+
    | h3\w+ | polygons?[a-z]\w+ | readwk[bt]\w* | bitmap\w+ | (ngram|wordshingle)(sim|min)hash\w* | tuple\w+
    | (starts|ends)withcaseinsensitiveutf8 | ngram(search|distance)\w*
    """,
    re.VERBOSE,
)

_ALLOWED: Final = frozenset(name.lower() for name in _NAMES.split())

# TTL … GROUP BY … SET folds old rows, so there, and only there, an aggregate may be called.
_AGGREGATES: Final = words("""
    any anylast argmax argmin avg count groupbitand groupbitor groupbitxor max min sum sumwithoverflow summap minmap
    maxmap grouparrayarray groupuniqarrayarray
    """)

_REASONS: Final = (
    (re.compile(r"file|filesystem\w*|showcertificate|structureto\w+|catboost\w*"), "it touches files of the server"),
    (re.compile(r"url|remote\w*|cluster\w*|s3\w*|gcs|hdfs|mysql|postgresql|mongodb|ai[a-z]+"), "it uses the network"),
    (re.compile(r"joinget\w*|dict\w+|region\w+|hascolumnintable|generateserialid"), "it reads outside its own row"),
    (re.compile(r"(global)?(not)?(null)?in(ignoreset)?"), "its right side may be a table, use the operator IN"),
    (re.compile(r"sleep\w*|throwif"), "it would stop an insert"),
    (re.compile(r"arrayjoin|unnest"), "it changes the number of rows"),
    (re.compile(r"neighbor|running\w+|blocknumber|rownumberin\w+"), "its value depends on how rows are grouped"),
    (
        re.compile(r"get\w+|current\w+|\w*host\w*|\w*user\w*|version|uptime|(query|connection|initial_?query)_?id"),
        "it tells about the server",
    ),
)


def refusal(name: str, *, aggregates: bool = False) -> str:
    """Return why an expression may not call the function `name`, as the end of a sentence, or "" if it may.

    Args:
        name: as written, in any case.
        aggregates: whether aggregate functions are allowed here too.
    """
    lower = name.lower()
    if lower in _ALLOWED or _FAMILIES.fullmatch(lower) or (aggregates and lower in _AGGREGATES):
        return ""
    return next((reason for pattern, reason in _REASONS if pattern.fullmatch(lower)), "it is not in the allowed list")
