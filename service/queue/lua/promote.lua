-- Jobs whose backoff is over go back to their place in the queue.
-- ARGV: 1 limit, 2 edges of promote
-- Returns how many.
local promoted = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', q .. 'delayed', '-inf', now, 'LIMIT', 0, ARGV[1])) do
  move(id, 'waiting', edge(ARGV[2], 'waiting'))
  bump(id, 'state')
  promoted = promoted + 1
end
return promoted
