-- Ends a try of a delivery.
-- ARGV: 1 delivery, 2 tenant, 3 hook, 4 ms until the next try (-1 = none), 5 text for the log, 6 tries so far
-- Returns 'OK'.
if tonumber(ARGV[4]) >= 0 then
  redis.call('ZADD', q .. 'hookdue', 'XX', now + ARGV[4], ARGV[1])
  redis.call('HSET', q .. 'hooktry', ARGV[1], ARGV[6] .. '|' .. ARGV[2])
else
  redis.call('ZREM', q .. 'hookdue', ARGV[1])
  redis.call('HDEL', q .. 'hooktry', ARGV[1])
end
if redis.call('HEXISTS', q .. 'hooks:' .. ARGV[2], ARGV[3]) == 1 then
  local log = q .. 'hooklog:' .. ARGV[2] .. ':' .. ARGV[3]
  redis.call('LPUSH', log, ARGV[5])
  redis.call('LTRIM', log, 0, 49)
end
return 'OK'
