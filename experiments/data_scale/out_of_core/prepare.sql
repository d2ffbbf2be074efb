-- From raw events to a k-core and its leave-one-out split, as crossrec.data.cleaning and
-- crossrec.data.splits make them. DuckDB and Spark run this same text. What they say in different
-- ways (seconds, draw) is in duckdb.sql and spark.sql.
--
-- There is a view raw of user_id, item_id, review (STRING), rating (FLOAT), timestamp and position
-- (BIGINT). run.py puts values in place of $min_user, $min_item and $start, and runs the part
-- "core" until it drops nothing.

-- == events: ids that are there, of several events of a user with an item the first

CREATE TEMPORARY VIEW usable AS
SELECT
    user_id,
    item_id,
    CASE WHEN NOT isnan(rating) THEN rating END AS rating,
    seconds(timestamp) AS timestamp,
    position,
    nullif(review, '') AS review
FROM raw
WHERE user_id <> '' AND item_id <> '';

-- Only what is repeated is put in order: a window over all rows, with their reviews, has to fit in
-- memory in DuckDB, where grouping and joining need not.
CREATE TABLE repeated AS
SELECT user_id, item_id FROM usable GROUP BY user_id, item_id HAVING count(*) > 1;

CREATE TABLE events AS
SELECT usable.* FROM usable ANTI JOIN repeated USING (user_id, item_id);

INSERT INTO events
SELECT user_id, item_id, rating, timestamp, position, review
FROM (
    SELECT usable.*, row_number() OVER (
        PARTITION BY user_id, item_id
        ORDER BY timestamp NULLS FIRST, position NULLS FIRST, rating NULLS FIRST, review NULLS FIRST
    ) AS nth
    FROM usable SEMI JOIN repeated USING (user_id, item_id)
) AS numbered
WHERE nth = 1;

CREATE TABLE pairs AS
SELECT user_id, item_id FROM events;

-- == core: items with too few events go, then the users that this leaves with too few

CREATE TABLE of_items AS
SELECT user_id, item_id FROM pairs
WHERE item_id IN (SELECT item_id FROM pairs GROUP BY item_id HAVING count(*) >= $min_item);

CREATE TABLE of_both AS
SELECT user_id, item_id FROM of_items
WHERE user_id IN (SELECT user_id FROM of_items GROUP BY user_id HAVING count(*) >= $min_user);

DROP TABLE pairs;
DROP TABLE of_items;
ALTER TABLE of_both RENAME TO pairs;

-- == split: what is left, in parts by user, and each user's last event and the one before it

CREATE TEMPORARY VIEW interactions AS
SELECT *, substr(md5(user_id), 1, 1) AS part
FROM events
WHERE user_id IN (SELECT user_id FROM pairs) AND item_id IN (SELECT item_id FROM pairs);

CREATE TEMPORARY VIEW split AS
SELECT user_id, item_id, timestamp, position,
    CASE row_number() OVER (
        PARTITION BY user_id
        ORDER BY timestamp DESC NULLS LAST, position DESC NULLS LAST, drawn DESC
    ) WHEN 1 THEN 'test' WHEN 2 THEN 'valid' ELSE 'train' END AS split
FROM (
    SELECT *, draw(user_id, item_id, $start) AS drawn FROM interactions
) AS in_order;
