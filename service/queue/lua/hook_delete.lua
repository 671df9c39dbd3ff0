-- Forgets an endpoint; its deliveries are dropped when they come up.
-- ARGV: 1 tenant, 2 hook
-- Returns how many were removed.
redis.call('DEL', q .. 'hooklog:' .. ARGV[1] .. ':' .. ARGV[2])
return redis.call('HDEL', q .. 'hooks:' .. ARGV[1], ARGV[2])
