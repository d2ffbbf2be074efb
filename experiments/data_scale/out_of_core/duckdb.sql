-- What prepare.sql calls and DuckDB says in its own way. Numbers are those of crossrec's
-- data/splits/draws.py and data/sources/tidy.py.

CREATE MACRO whole(number, unit) AS (number - ((number % unit) + unit) % unit) // unit;

-- Whole unix seconds from seconds, milli-, micro- or nanoseconds, told apart by their size.
CREATE MACRO seconds(moment) AS CASE
    WHEN abs(moment) > 100000000000000000 THEN whole(moment, 1000000000)
    WHEN abs(moment) > 100000000000000 THEN whole(moment, 1000000)
    WHEN abs(moment) > 100000000000 THEN whole(moment, 1000)
    ELSE moment
END;

-- Unsigned arithmetic modulo 2^64.
CREATE MACRO wrapped(number) AS (number & 18446744073709551615::UHUGEINT)::UBIGINT;
CREATE MACRO stirred(x, places, factor) AS
    wrapped(xor(x, x >> places)::UHUGEINT * factor::UHUGEINT);
CREATE MACRO folded(x) AS xor(x, x >> 31);
CREATE MACRO mix(x) AS
    folded(stirred(stirred(x, 30, 13787848793156543929), 27, 10723151780598845931));

-- Eight bytes of a hexadecimal text as a number, the first byte being the lowest.
CREATE MACRO word(digits, start) AS ('0x' || list_aggregate(
    list_transform(range(7, -1, -1), lambda i: substr(digits, 2 * (start + i) + 1, 2)),
    'string_agg', ''
))::UBIGINT;

-- The hash of a text's length and bytes, and of further words.
CREATE MACRO hashed(id, further) AS list_reduce(
    list_concat(
        list_transform(
            range(0, octet_length(encode(id)), 8),
            lambda start: word(hex(encode(id)) || '0000000000000000', start)
        ),
        further
    ),
    lambda h, w: mix(xor(h, w)),
    mix(octet_length(encode(id))::UBIGINT)
);

-- A number that depends on the seed (start), the user and the item alone, in the order of its size.
CREATE MACRO draw(user_id, item_id, start) AS
    mix(wrapped(hashed(user_id, [start])::UHUGEINT + hashed(item_id, [])::UHUGEINT));
