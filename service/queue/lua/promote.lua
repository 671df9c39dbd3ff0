-- Jobs whose backoff is over go back to their place in the queue.
-- ARGV: 1 limit, 2 edges of promote
-- Returns how many.
local promoted = 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', q .. 'delayed', '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local to = edge(ARGV[2], fields(id, 'state')[1])
  redis.call('ZREM', q .. 'delayed', id)
  if to then
    move(id, 'waiting', to)
    bump(id, 'state')
    promoted = promoted + 1
  end
end
return promoted
