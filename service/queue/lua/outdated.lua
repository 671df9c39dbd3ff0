-- Jobs whose retention is over.
-- ARGV: 1 limit
-- Returns their ids.
return redis.call('ZRANGEBYSCORE', q .. 'term', '-inf', now, 'LIMIT', 0, ARGV[1])
