-- Ends jobs that did not start in time or whose deadline passed before a worker had them; tells the worker of others.
-- ARGV: 1 limit, 2 edges of expire, 3 retention ms
-- Returns {expired, overdue}.
local expired, overdue = 0, 0
for _, id in ipairs(redis.call('ZRANGEBYSCORE', q .. 'deadline', '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local j = fields(id, 'state', 'deadline')
  local to = edge(ARGV[2], j[1])
  redis.call('ZREM', q .. 'deadline', id)
  if to then
    finish(id, j[1], to, ARGV[3], 'deadline_exceeded', 'the deadline passed before the job could be done')
    expired = expired + 1
  elseif j[1] == 'running' and number(j[2]) > 0 and number(j[2]) <= now then
    redis.call('HSET', key(id), 'overdue', '1')
    overdue = overdue + 1
  end
end
return {expired, overdue}
