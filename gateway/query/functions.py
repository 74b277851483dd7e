"""Functions: what a query may call, by name. Long because it is the list itself.

Made from `system.functions` of the engine, 26.9, less the families at the end, which read files, other objects or the
engine's own state, call out, run text as code, or hold the engine up. A name in neither list is refused, so what a
later engine adds is closed until somebody has looked at it; `tests/integration/test_query_fence_engine.py` says what.

`~` marks a name the engine knows in any case. `date_add` and its like, `COLUMNS`, `grouping` and `untuple` are the
parser's own; the `s2…`, `uniqTheta…`, `detect…` and `bech32…` functions are the server's, not the embedded build's.
"""

from typing import Final

_AGGREGATES = """
    analysisOfVariance~ anova~ any any_respect_nulls any_value_respect_nulls~ any_value~ anyHeavy anyLast
    anyLast_respect_nulls anyLastRespectNulls anyRespectNulls anyValueRespectNulls approx_top_count~ approx_top_k~
    approx_top_sum~ argAndMax argAndMin argMax argMin array_agg~ array_concat_agg~ avgWeighted avg~ BIT_AND~ BIT_OR~
    BIT_XOR~ boundingRatio categoricalInformationValue contingency corrMatrix corrStable corr~ count~ COVAR_POP~
    COVAR_SAMP~ covarPop covarPopMatrix covarPopStable covarSamp covarSampMatrix covarSampStable cramersV
    cramersVBiasCorrected cume_dist deltaSum deltaSumTimestamp dense_rank~ denseRank distinctDynamicTypes
    distinctJSONPaths distinctJSONPathsAndTypes entropy estimateCompressionRatio exponentialMovingAverage
    exponentialTimeDecayedAvg exponentialTimeDecayedCount exponentialTimeDecayedMax exponentialTimeDecayedSum
    first_value_respect_nulls~ first_value~ firstValueRespectNulls gini group_concat~ groupArray groupArrayInsertAt
    groupArrayIntersect groupArrayLast groupArrayMovingAvg groupArrayMovingSum groupArraySample groupArraySorted
    groupBitAnd groupBitmap groupBitmapAnd groupBitmapOr groupBitmapXor groupBitOr groupBitXor groupConcat
    groupFormat groupNumericIndexedVector groupUniqArray hierarchicalKMeans histogram intervalLengthSum
    kolmogorovSmirnovTest~ kurtPop kurtSamp lagInFrame lag~ largestTriangleThreeBuckets last_value_respect_nulls~
    last_value~ lastValueRespectNulls leadInFrame lead~ lttb mannWhitneyUTest max_by~ maxIntersections
    maxIntersectionsPosition maxMappedArrays max~ meanZTest median medianBFloat16 medianBFloat16Weighted medianDD
    medianDeterministic medianExact medianExactHigh medianExactLow medianExactWeighted
    medianExactWeightedInterpolated medianGK medianInterpolatedWeighted medianTDigest medianTDigestWeighted
    medianTiming medianTimingWeighted mergedJSONPatch min_by~ minMappedArrays min~ MVTEncode nonNegativeDerivative
    nth_value~ ntile~ percent_rank~ percentRank quantile quantileBFloat16 quantileBFloat16Weighted quantileDD
    quantileDeterministic quantileExact quantileExactExclusive quantileExactHigh quantileExactInclusive
    quantileExactLow quantileExactWeighted quantileExactWeightedInterpolated quantileGK quantileInterpolatedWeighted
    quantilePrometheusHistogram quantiles quantilesBFloat16 quantilesBFloat16Weighted quantilesDD
    quantilesDeterministic quantilesExact quantilesExactExclusive quantilesExactHigh quantilesExactInclusive
    quantilesExactLow quantilesExactWeighted quantilesExactWeightedInterpolated quantilesGK
    quantilesInterpolatedWeighted quantilesPrometheusHistogram quantilesTDigest quantilesTDigestWeighted
    quantilesTiming quantilesTimingWeighted quantileTDigest quantileTDigestWeighted quantileTiming
    quantileTimingWeighted rankCorr rank~ regr_avgx~ regr_avgy~ regr_count~ regr_intercept~ regr_r2~ regr_slope~
    regr_sxx~ regr_sxy~ regr_syy~ retention row_number~ sequenceCount sequenceMatch sequenceMatchEvents
    sequenceNextNode simpleLinearRegression singleValueOrNull skewPop skewSamp sparkBar sparkbar ST_AsMVT
    STDDEV_POP~ STDDEV_SAMP~ stddevPop stddevPopStable stddevSamp stddevSampStable STDDEV~ STD~
    stochasticLinearRegression stochasticLogisticRegression string_agg~ studentTTest studentTTestOneSample sumCount
    sumKahan sumMapFiltered sumMapFilteredWithOverflow sumMappedArrays sumMapWithOverflow sumWithOverflow sum~
    theilsU timeSeriesAvgToGrid timeSeriesBottomKMasks timeSeriesChangesToGrid timeSeriesCountToGrid
    timeSeriesDeltaToGrid timeSeriesDerivToGrid timeSeriesGroupArray timeSeriesIncreaseToGrid
    timeSeriesInstantDeltaToGrid timeSeriesInstantRateToGrid timeSeriesLastToGrid timeSeriesLastTwoSamples
    timeSeriesLimitKMasks timeSeriesMaxToGrid timeSeriesMinToGrid timeSeriesPredictLinearToGrid timeSeriesRateToGrid
    timeSeriesResampleToGridWithStaleness timeSeriesResetsToGrid timeSeriesSumToGrid timeSeriesTimestampOfMaxToGrid
    timeSeriesTimestampOfMinToGrid timeSeriesTopKMasks topK topKWeighted uniq uniqCombined uniqCombined64 uniqExact
    uniqHLL12 uniqTheta uniqUpTo VAR_POP~ VAR_SAMP~ varPop varPopStable varSamp varSampStable welchTTest
    windowFunnel
"""

_PLAIN = """
    abs~ accurateCast accurateCastOrDefault accurateCastOrNull acosh acos~ addDate~ addDays addHours addInterval
    addMicroseconds addMilliseconds addMinutes addMonths addNanoseconds addQuarters addSeconds addTupleOfIntervals
    addWeeks addYears aes_decrypt_mysql aes_encrypt_mysql age~ alphaTokens and appendTrailingCharIfAbsent
    areaCartesian areaSpherical array array_remove~ array_to_string~ arrayAll arrayAUC arrayAUCPR
    arrayAutocorrelation arrayAvg arrayBottomK arrayCompact arrayConcat arrayCount arrayCumSum
    arrayCumSumNonNegative arrayDifference arrayDistinct arrayDotProduct arrayElement arrayElementOrNull
    arrayEnumerate arrayEnumerateDense arrayEnumerateDenseRanked arrayEnumerateUniq arrayEnumerateUniqRanked
    arrayExcept arrayExists arrayFill arrayFilter arrayFirst arrayFirstIndex arrayFirstOrNull arrayFlatten
    arrayFlattenedLength arrayFold arrayIntersect arrayJaccardIndex arrayJoin arrayLast arrayLastIndex
    arrayLastOrNull arrayLevenshteinDistance arrayLevenshteinDistanceWeighted arrayMap arrayMax arrayMin
    arrayNormalizedGini arrayPartialReverseSort arrayPartialShuffle~ arrayPartialSort arrayPopBack arrayPopFront
    arrayPRAUC arrayProduct arrayPushBack arrayPushFront arrayRandomSample arrayReduce arrayReduceInRanges
    arrayRemove arrayResize arrayReverse arrayReverseFill arrayReverseSort arrayReverseSplit arrayROCAUC
    arrayRotateLeft arrayRotateRight arrayShiftLeft arrayShiftRight arrayShingles arrayShuffle~ arraySimilarity
    arraySlice arraySort arraySplit arrayStringConcat arraySum arraySymmetricDifference arrayTopK arrayTranspose
    arrayUnion arrayUniq arrayWithConstant arrayZip arrayZipUnaligned ascii~ asinh asin~ assignCentroid
    assumeNotNull atan2~ atanh atan~ avg2~ bar base32Decode base32Encode base58Decode base58Encode base64Decode
    base64Encode base64URLDecode base64URLEncode basename bech32Decode bech32Encode bin~ bitAnd bitCount
    bitHammingDistance bitmapAnd bitmapAndCardinality bitmapAndnot bitmapAndnotCardinality bitmapBuild
    bitmapCardinality bitmapContains bitmapHasAll bitmapHasAny bitmapMax bitmapMin bitmapOr bitmapOrCardinality
    bitmapSubsetInRange bitmapSubsetLimit bitmapToArray bitmapTransform bitmapXor bitmapXorCardinality
    bitmaskToArray bitmaskToList bitNot bitOr bitPositionsToArray bitRotateLeft bitRotateRight bitShiftLeft
    bitShiftRight bitSlice bitTest bitTestAll bitTestAny bitXor blockNumber blockSerializedSize blockSize
    byteHammingDistance byteSize byteSlice~ byteSwap~ CARDINALITY~ caseFoldUTF8 caseWithExpr caseWithExpression
    caseWithoutExpr caseWithoutExpression CAST~ cbrt ceiling~ ceil~ changeDay changeHour changeMinute changeMonth
    changeSecond changeYear CHAR_LENGTH~ CHARACTER_LENGTH~ char~ cityHash64 clamp coalesce~ colorOKLABToSRGB
    colorOKLCHToSRGB colorSRGBToOKLAB colorSRGBToOKLCH COLUMNS~ compareSubstrings concat_ws~ concatAssumeInjective
    concatWithSeparator concatWithSeparatorAssumeInjective concat~ conv convertCharset cosh cosineDistance
    cosineDistanceTransposed cosineDistanceTransposedQuantized cos~ countDigits countEqual countMatches
    countMatchesCaseInsensitive countSubstringsCaseInsensitive countSubstringsCaseInsensitiveUTF8 countSubstrings~
    CRC32IEEE~ CRC32~ CRC64~ curdate~ current_date~ current_timestamp~ cutFragment cutIPv6 cutQueryString
    cutQueryStringAndFragment cutToFirstSignificantSubdomain cutToFirstSignificantSubdomainCustom
    cutToFirstSignificantSubdomainCustomRFC cutToFirstSignificantSubdomainCustomWithWWW
    cutToFirstSignificantSubdomainCustomWithWWWRFC cutToFirstSignificantSubdomainRFC
    cutToFirstSignificantSubdomainWithWWW cutToFirstSignificantSubdomainWithWWWRFC cutURLParameter cutWWW
    damerauLevenshteinDistance date_add~ date_bin~ DATE_DIFF date_diff DATE_FORMAT~ date_sub~ DATE_TRUNC~ dateAdd~
    dateDiff~ dateName~ dateSub~ dateTime64ToSnowflakeID dateTimeToSnowflakeID dateTimeToUUIDv7 dateTrunc DATE~
    DAYOFMONTH~ DAYOFWEEK~ DAYOFYEAR~ DAY~ decodeHTMLComponent decodeURLComponent decodeURLFormComponent
    decodeXMLComponent decrypt defaultValueOfArgumentType defaultValueOfTypeName degrees~ dequantizeInt8ToBFloat16
    detectCharset detectLanguage detectLanguageMixed detectLanguageUnknown detectTonality digits
    distanceCosineTransposed~ distanceCosine~ distanceL1~ distanceL2Squared~ distanceL2Transposed~ distanceL2~
    distanceLinf~ distanceLp~ divide divideDecimal divideOrNull domain domainRFC domainWithoutWWW
    domainWithoutWWWRFC dotProduct dotProductTransposed dotProductTransposedQuantized dumpColumnStructure
    dynamicElement dynamicType e editDistance editDistanceUTF8 empty emptyArrayDate emptyArrayDateTime
    emptyArrayFloat32 emptyArrayFloat64 emptyArrayInt16 emptyArrayInt32 emptyArrayInt64 emptyArrayInt8
    emptyArrayString emptyArrayToSingle emptyArrayUInt16 emptyArrayUInt32 emptyArrayUInt64 emptyArrayUInt8
    encodeURLComponent encodeURLFormComponent encodeXMLComponent encrypt endsWith endsWithCaseInsensitive
    endsWithCaseInsensitiveUTF8 endsWithUTF8 equals erf erfc errorCodeToName evalMLMethod exp10 exp2 exp~
    extract extractAll extractAllGroups extractAllGroupsHorizontal extractAllGroupsVertical extractGroups
    extractKeyValuePairs extractKeyValuePairsWithEscaping extractTextFromHTML extractURLParameter
    extractURLParameterNames extractURLParameters factorial~ farmFingerprint64 farmHash64 finalizeAggregation
    financialInternalRateOfReturn financialInternalRateOfReturnExtended financialNetPresentValue
    financialNetPresentValueExtended firstLine firstNonDefault~ firstSignificantSubdomain
    firstSignificantSubdomainCustom firstSignificantSubdomainCustomRFC firstSignificantSubdomainRFC flattenTuple
    flatten~ flipCoordinates floor~ format FORMAT_BYTES~ formatDateTime formatDateTimeInJodaSyntax formatQuery
    formatQueryOrNull formatQuerySingleLine formatQuerySingleLineOrNull formatReadableDecimalSize
    formatReadableQuantity formatReadableSize formatReadableTimeDelta formatRow formatRowNoNewline fragment
    FROM_BASE64~ FROM_DAYS~ FROM_UNIXTIME~ from_utc_timestamp~ fromDaysSinceYearZero fromDaysSinceYearZero32
    fromModifiedJulianDay fromModifiedJulianDayOrNull fromUnixTimestamp fromUnixTimestamp64Micro
    fromUnixTimestamp64Milli fromUnixTimestamp64Nano fromUnixTimestamp64Second fromUnixTimestampInJodaSyntax
    fromUTCTimestamp fuzzBits gccMurmurHash gcd generateRandomStructure generateSnowflakeID generateUUIDv4
    generateUUIDv7 geoDistance geohashDecode geohashEncode geohashesInBox geometryIntersectCartesian
    geometryIntersectSpherical geoToH3 geoToMGRS geoToS2 geoToUTM getSizeOfEnumType getSubcolumn
    getTypeSerializationStreams greatCircleAngle greatCircleDistance greater greaterOrEquals greatest~ grouping~
    h3CellAreaM2 h3CellAreaRads2 h3Distance h3EdgeAngle h3EdgeLengthKm h3EdgeLengthM h3ExactEdgeLengthKm
    h3ExactEdgeLengthM h3ExactEdgeLengthRads h3GetBaseCell h3GetDestinationIndexFromUnidirectionalEdge h3GetFaces
    h3GetIndexesFromUnidirectionalEdge h3GetOriginIndexFromUnidirectionalEdge h3GetPentagonIndexes h3GetRes0Indexes
    h3GetResolution h3GetUnidirectionalEdge h3GetUnidirectionalEdgeBoundary h3GetUnidirectionalEdgesFromHexagon
    h3HexAreaKm2 h3HexAreaM2 h3HexRing h3IndexesAreNeighbors h3IsPentagon h3IsResClassIII h3IsValid h3kRing h3Line
    h3NumHexagons h3PointDistKm h3PointDistM h3PointDistRads h3PolygonToCells h3PolygonToCellsWithContainment
    h3ToCenterChild h3ToChildren h3ToGeo h3ToGeoBoundary h3ToParent h3ToString h3UnidirectionalEdgeIsValid halfMD5
    has hasAll hasAllToken hasAllTokens hasAny hasAnyToken hasAnyTokens hasPhrase hasSubsequenceCaseInsensitiveUTF8~
    hasSubsequenceCaseInsensitive~ hasSubsequenceUTF8~ hasSubsequence~ hasSubstr hasToken
    hasTokenCaseInsensitiveOrNull~ hasTokenCaseInsensitive~ hasTokenOrNull hex~ highlight highlightQuery
    hilbertDecode hilbertEncode hiveHash HMAC~ hop hopEnd hopStart HOUR~ hypot~ icebergBucket icebergHash
    icebergTruncate identity ifNotFinite ifNull~ if~ ignore ilike indexHint indexOf indexOfAssumeSorted INET6_ATON~
    INET6_NTOA~ INET_ATON~ INET_NTOA~ initcapUTF8 initcap~ initializeAggregation instr~ intDiv intDivOrNull
    intDivOrZero intExp10 intExp2 intHash32 intHash64 IPv4CIDRToRange IPv4NumToString IPv4NumToStringClassC
    IPv4StringToNum IPv4StringToNumOrDefault IPv4StringToNumOrNull IPv4ToIPv6 IPv6CIDRToRange IPv6NumToString
    IPv6StringToNum IPv6StringToNumOrDefault IPv6StringToNumOrNull isASCII isConstant isDecimalOverflow
    isDistinctFrom isDynamicElementInSharedData isFinite isInfinite isIPAddressInRange isIPv4String isIPv6String
    isMergeTreePartCoveredBy~ isNaN isNotDistinctFrom isNotNull isNullable isNull~ isPrime isProbablePrime
    isValidASCII isValidJSON isValidUTF8 isZeroOrNull jaroSimilarity jaroWinklerSimilarity javaHash javaHashUTF16LE
    JSON_ARRAY_LENGTH~ JSON_EXISTS JSON_QUERY JSON_VALUE JSONAllPaths JSONAllPathsWithTypes JSONAllValues
    JSONArrayLength JSONDynamicPaths JSONDynamicPathsWithTypes JSONExtract JSONExtractArrayRaw
    JSONExtractArrayRawCaseInsensitive JSONExtractBool JSONExtractBoolCaseInsensitive JSONExtractCaseInsensitive
    JSONExtractFloat JSONExtractFloatCaseInsensitive JSONExtractInt JSONExtractIntCaseInsensitive JSONExtractKeys
    JSONExtractKeysAndValues JSONExtractKeysAndValuesCaseInsensitive JSONExtractKeysAndValuesRaw
    JSONExtractKeysAndValuesRawCaseInsensitive JSONExtractKeysCaseInsensitive JSONExtractRaw
    JSONExtractRawCaseInsensitive JSONExtractString JSONExtractStringCaseInsensitive JSONExtractUInt
    JSONExtractUIntCaseInsensitive JSONHas JSONKey JSONLength JSONMergePatch jsonMergePatch JSONSharedDataPaths
    JSONSharedDataPathsWithTypes JSONType jumpConsistentHash kafkaMurmurHash keccak256 kostikConsistentHash kqlBin
    kqlBinAt kqlDateTimeBinAt kqlDivide kqlMultiply kqlParameterCast kqlRangeCount kqlToTimespan L1Distance L1Norm
    L1Normalize L2Distance L2DistanceTransposed L2DistanceTransposedQuantized L2Norm L2Normalize L2SquaredDistance
    L2SquaredNorm LAST_DAY~ lcase~ lcm least~ leftPad leftPadUTF8 leftUTF8 left~ lengthUTF8 length~ less
    lessOrEquals levenshteinDistance levenshteinDistanceUTF8 lgamma like LinfDistance LinfNorm LinfNormalize ln~
    localtimestamp~ localtime~ locate~ log10~ log1p log2~ log~ lowCardinalityIndices lowCardinalityKeys lowerUTF8
    lower~ lpad~ LpDistance LpNorm LpNormalize ltrim MACNumToString MACStringToNum MACStringToOUI makeDate32~
    makeDateTime64~ makeDateTime~ makeDate~ map MAP_FROM_ARRAYS mapAdd mapAll mapApply mapConcat mapContains
    mapContainsKey mapContainsKeyLike mapContainsValue mapContainsValueLike mapExists mapExtractKeyLike
    mapExtractValueLike mapFilter mapFromArrays mapFromString mapKeys mapPartialReverseSort mapPartialSort
    mapPopulateSeries mapReverseSort mapSort mapSubtract mapUpdate mapValues match matchCaseInsensitive matchPhrase
    materialize max2~ MD4 MD5 mergeTreePartInfo~ metroHash64 MGRSToGeo MICROSECOND~ midpoint~ mid~ MILLISECOND~
    min2~ minSampleSizeContinous minSampleSizeContinuous minSampleSizeConversion minus MINUTE~ mismatches modOrNull~
    modulo moduloLegacy moduloOrNull moduloOrZero mod~ monthName~ MONTH~ mortonDecode mortonEncode
    multiFuzzyMatchAllIndices multiFuzzyMatchAny multiFuzzyMatchAnyIndex multiIf multiMatchAllIndices multiMatchAny
    multiMatchAnyIndex multiply multiplyDecimal multiSearchAllPositions multiSearchAllPositionsCaseInsensitive
    multiSearchAllPositionsCaseInsensitiveUTF8 multiSearchAllPositionsUTF8 multiSearchAny
    multiSearchAnyCaseInsensitive multiSearchAnyCaseInsensitiveUTF8 multiSearchAnyUTF8 multiSearchFirstIndex
    multiSearchFirstIndexCaseInsensitive multiSearchFirstIndexCaseInsensitiveUTF8 multiSearchFirstIndexUTF8
    multiSearchFirstPosition multiSearchFirstPositionCaseInsensitive multiSearchFirstPositionCaseInsensitiveUTF8
    multiSearchFirstPositionUTF8 murmurHash2_32 murmurHash2_64 murmurHash3_128 murmurHash3_32 murmurHash3_64
    MVTBoundingBox MVTBoundingBoxMercator MVTEncodeGeom naiveBayesNgrams NANOSECOND~ NATURAL_SORT_KEY~
    naturalSortKey negate neighbor nested netloc ngramDistance ngramDistanceCaseInsensitive
    ngramDistanceCaseInsensitiveUTF8 ngramDistanceUTF8 ngramMinHash ngramMinHashArg ngramMinHashArgCaseInsensitive
    ngramMinHashArgCaseInsensitiveUTF8 ngramMinHashArgUTF8 ngramMinHashCaseInsensitive
    ngramMinHashCaseInsensitiveUTF8 ngramMinHashUTF8 ngrams ngramSearch ngramSearchCaseInsensitive
    ngramSearchCaseInsensitiveUTF8 ngramSearchUTF8 ngramSimHash ngramSimHashCaseInsensitive
    ngramSimHashCaseInsensitiveUTF8 ngramSimHashUTF8 normalizedQueryHash normalizedQueryHashKeepNames normalizeL1~
    normalizeL2~ normalizeLinf~ normalizeLp~ normalizeQuery normalizeQueryKeepNames normalizeUTF8NFC
    normalizeUTF8NFD normalizeUTF8NFKC normalizeUTF8NFKCCasefold normalizeUTF8NFKD normL1~ normL2Squared~ normL2~
    normLinf~ normLp~ notEmpty notEquals notHas notILike notLike notMatch notMatchCaseInsensitive not~ now64~
    nowInBlock nowInBlock64 now~ nullIf~ numericIndexedVectorAllValueSum numericIndexedVectorBuild
    numericIndexedVectorCardinality numericIndexedVectorGetValue numericIndexedVectorPointwiseAdd
    numericIndexedVectorPointwiseDivide numericIndexedVectorPointwiseEqual numericIndexedVectorPointwiseGreater
    numericIndexedVectorPointwiseGreaterEqual numericIndexedVectorPointwiseLess
    numericIndexedVectorPointwiseLessEqual numericIndexedVectorPointwiseMultiply
    numericIndexedVectorPointwiseNotEqual numericIndexedVectorPointwiseSubtract numericIndexedVectorShortDebugString
    numericIndexedVectorToMap OCTET_LENGTH~ or overlayUTF8 overlay~ parseDateTime parseDateTime32BestEffort
    parseDateTime32BestEffortOrNull parseDateTime32BestEffortOrZero parseDateTime64 parseDateTime64BestEffort
    parseDateTime64BestEffortOrNull parseDateTime64BestEffortOrZero parseDateTime64BestEffortUS
    parseDateTime64BestEffortUSOrNull parseDateTime64BestEffortUSOrZero parseDateTime64InJodaSyntax
    parseDateTime64InJodaSyntaxOrNull parseDateTime64InJodaSyntaxOrZero parseDateTime64OrNull parseDateTime64OrZero
    parseDateTimeBestEffort parseDateTimeBestEffortOrNull parseDateTimeBestEffortOrZero parseDateTimeBestEffortUS
    parseDateTimeBestEffortUSOrNull parseDateTimeBestEffortUSOrZero parseDateTimeInJodaSyntax
    parseDateTimeInJodaSyntaxOrNull parseDateTimeInJodaSyntaxOrZero parseDateTimeOrNull parseDateTimeOrZero
    parseISO8601Duration parseReadableSize parseReadableSizeOrNull parseReadableSizeOrZero parseTimeDelta
    partitionID partitionId path pathFull perimeterCartesian perimeterSpherical pi~ plus pmodOrNull~ pmod~
    pointInEllipses pointInPolygon polygonAreaCartesian polygonAreaSpherical polygonConvexHullCartesian
    polygonPerimeterCartesian polygonPerimeterSpherical polygonsDistanceCartesian polygonsDistanceSpherical
    polygonsEqualsCartesian polygonsIntersectCartesian polygonsIntersectionCartesian polygonsIntersectionSpherical
    polygonsIntersectSpherical polygonsSymDifferenceCartesian polygonsSymDifferenceSpherical polygonsUnionCartesian
    polygonsUnionSpherical polygonsWithinCartesian polygonsWithinSpherical port portRFC positionCaseInsensitive
    positionCaseInsensitiveUTF8 positionUTF8 position~ positive_modulo_or_null~ positive_modulo~
    positiveModuloOrNull~ positiveModulo~ power~ pow~ prettyPrintJSON printf proportionsZTest protocol
    quantizeBFloat16ToInt8 QUARTER~ queryString queryStringAndFragment radians~ rand32 rand64 randBernoulli
    randBinomial randCanonical randChiSquared randConstant randExponential randFisherF randLogNormal
    randNegativeBinomial randNormal randomFixedString randomHadamardTransform randomPrintableASCII randomString
    randomStringUTF8 randPoisson randStudentT randUniform rand~ range readWKB readWkb readWKBLineString
    readWKBMultiLineString readWKBMultiPoint readWKBMultiPolygon readWKBPoint readWKBPolygon readWKT readWkt
    readWKTLineString readWKTMultiLineString readWKTMultiPoint readWKTMultiPolygon readWKTPoint readWKTPolygon
    readWKTRing REGEXP_EXTRACT~ regexp_instr~ REGEXP_MATCHES~ REGEXP_REPLACE~ REGEXP_SUBSTR~ regexpExtract
    regexpInstr~ regexpPosition regexpQuoteMeta reinterpret reinterpretAsDate reinterpretAsDateTime
    reinterpretAsFixedString reinterpretAsFloat32 reinterpretAsFloat64 reinterpretAsInt128 reinterpretAsInt16
    reinterpretAsInt256 reinterpretAsInt32 reinterpretAsInt64 reinterpretAsInt8 reinterpretAsString
    reinterpretAsUInt128 reinterpretAsUInt16 reinterpretAsUInt256 reinterpretAsUInt32 reinterpretAsUInt64
    reinterpretAsUInt8 reinterpretAsUUID removeAccentsUTF8 removeDiacriticsUTF8 repeat~ replaceAll replaceOne
    replaceRegexpAll replaceRegexpOne replace~ replicate reverseBySeparator reverseUTF8 reverse~ rightPad
    rightPadUTF8 rightUTF8 right~ RIPEMD160 roundAge roundBankers roundDown roundDuration roundToExp2 round~
    rowNumberInAllBlocks rowNumberInBlock rpad~ rtrim runningAccumulate runningConcurrency runningDifference
    runningDifferenceStartingWithFirstValue s2CapContains s2CapUnion s2CellsIntersect s2GetNeighbors s2RectAdd
    s2RectContains s2RectIntersection s2RectUnion s2ToGeo scalarProductTransposed~ scalarProduct~ SECOND~
    seriesDecomposeSTL seriesOutliersDetectTukey serverTimeZone serverTimezone SHA1 SHA224 SHA256 SHA384 SHA512
    SHA512_256 sigmoid sign~ simpleJSONExtractBool simpleJSONExtractFloat simpleJSONExtractInt simpleJSONExtractRaw
    simpleJSONExtractString simpleJSONExtractUInt simpleJSONHas sinh sin~ sipHash128 sipHash128Keyed
    sipHash128Reference sipHash128ReferenceKeyed sipHash64 sipHash64Keyed snowflakeIDToDateTime
    snowflakeIDToDateTime64 soundex~ space~ sparseGrams sparseGramsHashes sparseGramsHashesUTF8 sparseGramsUTF8
    splitByAlpha splitByChar splitByNonAlpha splitByRegexp splitByString splitByWhitespace sqid sqidDecode
    sqidEncode sqrt~ sqr~ ST_AsMVTGeom ST_LineFromWKB ST_MLineFromWKB ST_MPointFromWKB ST_MPolyFromWKB
    ST_PointFromWKB ST_PolyFromWKB startsWith startsWithCaseInsensitive startsWithCaseInsensitiveUTF8 startsWithUTF8
    str_to_date~ str_to_map~ stringBytesEntropy stringBytesUniq stringJaccardIndex stringJaccardIndexUTF8 stringToH3
    subBitmap subDate~ SUBSTRING_INDEX~ substringIndex substringIndexUTF8 substringUTF8 substring~ substr~
    subtractDays subtractHours subtractInterval subtractMicroseconds subtractMilliseconds subtractMinutes
    subtractMonths subtractNanoseconds subtractQuarters subtractSeconds subtractTupleOfIntervals subtractWeeks
    subtractYears SVG svg tanh~ tan~ tgamma throwIf time_bucket~ timeDiff~ timeSeriesCopyTag timeSeriesCopyTags
    timeSeriesExtractTag timeSeriesFromGrid timeSeriesGroupToSamplingKey timeSeriesGroupToTags timeSeriesIdToGroup
    timeSeriesIdToTags timeSeriesIdToTagsGroup timeSeriesJoinTags timeSeriesMetricTypeToSuffixes
    timeSeriesPrometheusValueToString timeSeriesRange timeSeriesRemoveAllTagsExcept timeSeriesRemoveTag
    timeSeriesRemoveTags timeSeriesReplaceTag timeSeriesTagsGroupToTags timeSeriesTagsToGroup timeSeriesTagsToMap
    timeSeriesThrowDuplicateSeriesIf timeSlot timeSlots timestamp_add~ TIMESTAMP_DIFF timestamp_diff timestamp_sub~
    timestampAdd~ timestampDiff timestampSub~ timestamp~ timeZoneOf timezoneOf timeZoneOffset timezoneOffset
    timeZone~ timezone~ TO_BASE64~ TO_DAYS~ TO_UNIXTIME~ to_utc_timestamp~ toBFloat16 toBFloat16OrNull
    toBFloat16OrZero toBool toColumnTypeName toDate toDate32 toDate32OrDefault toDate32OrNull toDate32OrZero
    toDateOrDefault toDateOrNull toDateOrZero toDateTime toDateTime32 toDateTime64 toDateTime64OrDefault
    toDateTime64OrNull toDateTime64OrZero toDateTimeOrDefault toDateTimeOrNull toDateTimeOrZero toDayOfMonth
    toDayOfWeek toDayOfYear toDaysInMonth toDaysSinceYearZero today~ toDecimal128 toDecimal128OrDefault
    toDecimal128OrNull toDecimal128OrZero toDecimal256 toDecimal256OrDefault toDecimal256OrNull toDecimal256OrZero
    toDecimal32 toDecimal32OrDefault toDecimal32OrNull toDecimal32OrZero toDecimal64 toDecimal64OrDefault
    toDecimal64OrNull toDecimal64OrZero toDecimalString~ toFixedString toFloat32 toFloat32OrDefault toFloat32OrNull
    toFloat32OrZero toFloat64 toFloat64OrDefault toFloat64OrNull toFloat64OrZero toHour toInt128 toInt128OrDefault
    toInt128OrNull toInt128OrZero toInt16 toInt16OrDefault toInt16OrNull toInt16OrZero toInt256 toInt256OrDefault
    toInt256OrNull toInt256OrZero toInt32 toInt32OrDefault toInt32OrNull toInt32OrZero toInt64 toInt64OrDefault
    toInt64OrNull toInt64OrZero toInt8 toInt8OrDefault toInt8OrNull toInt8OrZero toInterval toIntervalDay
    toIntervalHour toIntervalMicrosecond toIntervalMillisecond toIntervalMinute toIntervalMonth toIntervalNanosecond
    toIntervalQuarter toIntervalSecond toIntervalWeek toIntervalYear toIPv4 toIPv4OrDefault toIPv4OrNull
    toIPv4OrZero toIPv6 toIPv6OrDefault toIPv6OrNull toIPv6OrZero toISOWeek toISOYear toJSONString tokenizeQuery
    tokens tokensForLikePattern toLastDayOfMonth toLastDayOfWeek toLowCardinality toMicrosecond toMillisecond
    toMinute toModifiedJulianDay toModifiedJulianDayOrNull toMonday toMonth toMonthNumSinceEpoch toNanosecond
    toNullable topLevelDomain topLevelDomainRFC toQuarter toRelativeDayNum toRelativeHourNum toRelativeMinuteNum
    toRelativeMonthNum toRelativeQuarterNum toRelativeSecondNum toRelativeWeekNum toRelativeYearNum toSecond
    toStartOfDay toStartOfFifteenMinutes toStartOfFiveMinute toStartOfFiveMinutes toStartOfHour toStartOfInterval
    toStartOfISOYear toStartOfMicrosecond toStartOfMillisecond toStartOfMinute toStartOfMonth toStartOfNanosecond
    toStartOfQuarter toStartOfSecond toStartOfTenMinutes toStartOfWeek toStartOfYear toString toStringCutToZero
    toTime toTime64 toTime64OrNull toTime64OrZero toTimeOrNull toTimeOrZero toTimeWithFixedDate toTimeZone
    toTimezone toTypeName toUInt128 toUInt128OrDefault toUInt128OrNull toUInt128OrZero toUInt16 toUInt16OrDefault
    toUInt16OrNull toUInt16OrZero toUInt256 toUInt256OrDefault toUInt256OrNull toUInt256OrZero toUInt32
    toUInt32OrDefault toUInt32OrNull toUInt32OrZero toUInt64 toUInt64OrDefault toUInt64OrNull toUInt64OrZero toUInt8
    toUInt8OrDefault toUInt8OrNull toUInt8OrZero toUnixTimestamp toUnixTimestamp64Micro toUnixTimestamp64Milli
    toUnixTimestamp64Nano toUnixTimestamp64Second toUTCTimestamp toUUID toUUIDOrDefault toUUIDOrNull toUUIDOrZero
    toValidUTF8 toWeek toYear toYearNumSinceEpoch toYearWeek toYYYYMM toYYYYMMDD toYYYYMMDDhhmmss transform
    translate translateUTF8 trim trimBoth trimLeft trimRight truncate~ trunc~ tryBase32Decode tryBase58Decode
    tryBase64Decode tryBase64URLDecode tryDecrypt tumble tumbleEnd tumbleStart tuple tupleConcat tupleDivide
    tupleDivideByNumber tupleElement tupleHammingDistance tupleIntDiv tupleIntDivByNumber tupleIntDivOrZero
    tupleIntDivOrZeroByNumber tupleMinus tupleModulo tupleModuloByNumber tupleMultiply tupleMultiplyByNumber
    tupleNames tupleNegate tuplePlus tuplePositiveModuloByNumber tupleToNameValuePairs ucase~ unbin~ unhex~
    uniqThetaIntersect uniqThetaNot uniqThetaUnion unnest~ untuple upperUTF8 upper~ URLHash URLHierarchy
    URLPathHierarchy UTC_timestamp~ UTCTimestamp~ UTMToGeo UUIDNumToString UUIDStringToNum UUIDToNum
    UUIDv7ToDateTime validateNestedArraySizes variantElement variantType vectorDifference~ vectorSum~ version~
    visibleWidth visitParamExtractBool visitParamExtractFloat visitParamExtractInt visitParamExtractRaw
    visitParamExtractString visitParamExtractUInt visitParamHas week~ width_bucket~ widthBucket WKB wkb WKT wkt
    wordShingleMinHash wordShingleMinHashArg wordShingleMinHashArgCaseInsensitive
    wordShingleMinHashArgCaseInsensitiveUTF8 wordShingleMinHashArgUTF8 wordShingleMinHashCaseInsensitive
    wordShingleMinHashCaseInsensitiveUTF8 wordShingleMinHashUTF8 wordShingleSimHash
    wordShingleSimHashCaseInsensitive wordShingleSimHashCaseInsensitiveUTF8 wordShingleSimHashUTF8 wyHash64 xor xxh3
    xxh3_128 xxHash32 xxHash64 xxHash64Spark yandexConsistentHash yearweek~ YEAR~ yesterday
    YYYYMMDDhhmmssToDateTime64 YYYYMMDDhhmmssToDateTime~ YYYYMMDDToDate32~ YYYYMMDDToDate~
"""

# What may not be called, by reason. Together with the lists above this is every function of the engine.
_FAMILIES: Final = {
    "files of the engine's machine": """
    file filesystemAvailable filesystemCapacity filesystemUnreserved
    """,
    "other objects of the engine: dictionaries, join tables, models, columns of any table": """
    dictGet dictGetAll dictGetChildren dictGetDate dictGetDateOrDefault dictGetDateTime dictGetDateTimeOrDefault
    dictGetDescendants dictGetFloat32 dictGetFloat32OrDefault dictGetFloat64 dictGetFloat64OrDefault
    dictGetHierarchy dictGetInt16 dictGetInt16OrDefault dictGetInt32 dictGetInt32OrDefault dictGetInt64
    dictGetInt64OrDefault dictGetInt8 dictGetInt8OrDefault dictGetIPv4 dictGetIPv4OrDefault dictGetIPv6
    dictGetIPv6OrDefault dictGetKeys dictGetOrDefault dictGetOrNull dictGetRoot dictGetString dictGetStringOrDefault
    dictGetUInt16 dictGetUInt16OrDefault dictGetUInt32 dictGetUInt32OrDefault dictGetUInt64 dictGetUInt64OrDefault
    dictGetUInt8 dictGetUInt8OrDefault dictGetUUID dictGetUUIDOrDefault dictHas dictIsIn
    getMaxTableNameLengthForDatabase hasColumnInTable joinGet joinGetOrNull naiveBayesClassifier
    naiveBayesClassifierWithAllProbs naiveBayesClassifierWithProb regionHierarchy regionIn regionToArea regionToCity
    regionToContinent regionToCountry regionToDistrict regionToName regionToPopulation regionToTopContinent
    """,
    "who and where the engine is, and how it is set up": """
    authenticatedUser authUser buildId chdb~ connection_id~ connectionId~ current_database~ current_query_id~
    current_schemas~ current_user~ currentDatabase currentHandler currentProfiles currentQueryID currentRequestURL
    currentRoles currentSchemas~ currentUser DATABASE~ defaultProfiles defaultRoles displayName enabledProfiles
    enabledRoles FQDN~ fullHostName getClientHTTPHeader getMacro getMergeTreeSetting getOSKernelVersion
    getServerPort getServerSetting getSetting getSettingOrDefault globalVariable hasThreadFuzzer hostName hostname
    initial_query_id~ initial_query_start_time~ initialQueryID initialQueryStartTime logTrace pg_get_userbyid~
    pg_table_is_visible~ pgGetUserById~ pgTableIsVisible~ query_id~ queryID revision~ SCHEMA~ serverUUID
    session_user~ shardCount shardNum showCertificate tcpPort tid transactionID transactionLatestSnapshot
    transactionOldestSnapshot uptime user~ zookeeperSessionUptime
    """,
    "the engine's own program": """
    addressToLine addressToLineWithInlines addressToSymbol demangle flameGraph
    """,
    "calls out of the engine": """
    AIClassify aiClassify AIEmbed aiEmbed AIExtract aiExtract AIFilter aiFilter AIGenerate aiGenerate AIRedact
    aiRedact AISimilarity aiSimilarity AITranslate aiTranslate
    """,
    "holds the engine up, or writes": """
    aggThrow generateSerialID sleep sleepEachRow
    """,
    "text the engine would run as code": """
    formatQueryFromJSON fuzzQuery obfuscateQuery obfuscateQueryWithSeed parseQueryToJSON structureToCapnProtoSchema
    structureToProtobufSchema
    """,
    "IN as a call, where the second argument may be a table; write x IN y": """
    globalIn globalInIgnoreSet globalNotIn globalNotInIgnoreSet globalNotNullIn globalNotNullInIgnoreSet
    globalNullIn globalNullInIgnoreSet in inIgnoreSet notIn notInIgnoreSet notNullIn notNullInIgnoreSet nullIn
    nullInIgnoreSet
    """,
    "the engine's own internals": """
    __actionName __applyFilter __bitBoolMaskAnd __bitBoolMaskOr __bitSwapLastTwo __bitWrapperFunc __getScalar
    __groupingForCube __groupingForGroupingSets __groupingForRollup __groupingOrdinary __patchPartitionID
    __scalarSubqueryResult __toYearCalendarOnly _CAST~ nothing nothingNull nothingUInt64 timeSeriesStoreTags
    """,
}

# A suffix of an aggregate function that makes another of it, in exactly this spelling.
_COMBINATORS: Final = (
    "SimpleState", "OrDefault", "Distinct", "Resample", "ForEach", "ArgMax", "ArgMin", "OrNull", "Tuple", "Merge",
    "State", "Array", "Map", "If",
)  # fmt: skip

# Those that take a function for their first argument, when they have more than one.
_HIGHER_ORDER: Final = frozenset(
    [
        "arrayAll", "arrayAvg", "arrayBottomK", "arrayCompact", "arrayCount", "arrayCumSum",
        "arrayCumSumNonNegative", "arrayDifference", "arrayExists", "arrayFill", "arrayFilter", "arrayFirst",
        "arrayFirstIndex", "arrayFirstOrNull", "arrayFold", "arrayLast", "arrayLastIndex", "arrayLastOrNull",
        "arrayMap", "arrayMax", "arrayMin", "arrayPartialReverseSort", "arrayPartialSort", "arrayProduct",
        "arrayReverseFill", "arrayReverseSort", "arrayReverseSplit", "arraySort", "arraySplit", "arraySum",
        "arrayTopK", "mapAll", "mapApply", "mapExists", "mapFilter", "mapPartialReverseSort", "mapPartialSort",
        "mapReverseSort", "mapSort",
    ]
)  # fmt: skip

# Those whose first argument is the text of an aggregate function, parameters and all, which the engine evaluates.
_NAMING_AN_AGGREGATE: Final = frozenset({"arrayReduce", "arrayReduceInRanges", "initializeAggregation"})

# Restricted names that are good names for a column. Where there is no such column the engine calls the first three,
# which tell the name of its user and of its default database.
_COLUMN_NAMES: Final = frozenset(
    [
        "user", "database", "schema", "buildid", "connection_id", "connectionid", "displayname", "file",
        "hostname", "query_id", "queryid", "revision", "sleep", "tid", "transactionid", "uptime",
    ]
)  # fmt: skip


class _Names:
    """A set of names of functions, some of them known in any case."""

    def __init__(self, text: str) -> None:
        words = text.split()
        self._exact = frozenset(word.rstrip("~") for word in words)
        self._any_case = frozenset(word.rstrip("~").lower() for word in words if word.endswith("~"))

    def __contains__(self, name: object) -> bool:
        return isinstance(name, str) and name.isascii() and (name in self._exact or name.lower() in self._any_case)


_ALLOWED_AGGREGATES: Final = _Names(_AGGREGATES)
_ALLOWED_PLAIN: Final = _Names(_PLAIN)
_RESTRICTED: Final = _Names(" ".join(_FAMILIES.values()))


def is_allowed(name: str) -> bool:
    """Say whether a query may call `name`: a listed function, or a listed aggregate with combinators."""
    return name in _ALLOWED_PLAIN or is_aggregate(name)


def is_aggregate(name: str) -> bool:
    """Say whether `name` is a listed aggregate function, with combinators or without."""
    while name not in _ALLOWED_AGGREGATES:
        suffix = next((end for end in _COMBINATORS if name.endswith(end) and name != end), None)
        if suffix is None:
            return False
        name = name.removesuffix(suffix)
    return True


def is_restricted(name: str) -> bool:
    """Say whether `name` is a function of the engine that queries may not call."""
    return name in _RESTRICTED


def is_taken(name: str) -> bool:
    """Say whether a function of the engine has this name, in whatever case; a lambda may not be named so."""
    return is_allowed(name) or name.lower() in _TAKEN


def is_call_without_brackets(name: str) -> bool:
    """Say whether the bare word `name` must be refused: where no column has the name, the engine may call it."""
    return is_restricted(name) and name.lower() not in _COLUMN_NAMES


def takes_a_function(name: str) -> bool:
    """Say whether the first of several arguments of `name` is a function."""
    return name in _HIGHER_ORDER


def names_an_aggregate(name: str) -> bool:
    """Say whether the first argument of `name` is the text of an aggregate function."""
    return name in _NAMING_AN_AGGREGATE


_TAKEN: Final = frozenset(
    word.rstrip("~").lower() for text in (_AGGREGATES, _PLAIN, *_FAMILIES.values()) for word in text.split()
)
