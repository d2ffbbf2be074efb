-- What prepare.sql calls and Spark says in its own way; see duckdb.sql. Needs Spark 4 and
-- spark.sql.ansi.enabled=false, so that BIGINT arithmetic wraps modulo 2^64. Functions cannot be
-- called inside a lambda, which is why mix is written out there.

CREATE TEMPORARY FUNCTION whole(number BIGINT, unit BIGINT) RETURNS BIGINT
RETURN (number - ((number % unit) + unit) % unit) DIV unit;

CREATE TEMPORARY FUNCTION seconds(moment BIGINT) RETURNS BIGINT
RETURN CASE
    WHEN abs(moment) > 100000000000000000 THEN whole(moment, 1000000000)
    WHEN abs(moment) > 100000000000000 THEN whole(moment, 1000000)
    WHEN abs(moment) > 100000000000 THEN whole(moment, 1000)
    ELSE moment
END;

-- Words are mixed in one by one. A word is eight bytes, the first one the lowest, then `further`.
CREATE TEMPORARY FUNCTION hashed(id STRING, further ARRAY<BIGINT>) RETURNS BIGINT
RETURN aggregate(
    concat(
        array(CAST(octet_length(id) AS BIGINT)),
        transform(
            filter(sequence(0, octet_length(id), 8), start -> start < octet_length(id)),
            start -> aggregate(
                sequence(0, 7),
                0L,
                (sum, i) -> sum | shiftleft(coalesce(CAST(
                    conv(substr(hex(id), 2 * (start + i) + 1, 2), 16, 10) AS BIGINT
                ), 0L), 8 * i)
            )
        ),
        further
    ),
    0L,
    (h, w) -> element_at(
        transform(
            transform(
                transform(
                    array(h ^ w),
                    x -> (x ^ shiftrightunsigned(x, 30)) * -4658895280553007687L
                ),
                x -> (x ^ shiftrightunsigned(x, 27)) * -7723592293110705685L
            ),
            x -> x ^ shiftrightunsigned(x, 31)
        ),
        1
    )
);

-- The highest bit is turned over so that signed numbers sort as unsigned ones. The last mix is
-- that of an empty text (0) with the sum as its only further word.
CREATE TEMPORARY FUNCTION draw(user_id STRING, item_id STRING, start BIGINT) RETURNS BIGINT
RETURN hashed('', array(hashed(user_id, array(start)) + hashed(item_id, array())))
    ^ shiftleft(1L, 63);
