-- Takes jobs away from workers that stopped beating: canceled ones end, the third loss ends a job as poison, others
-- wait briefly. After an outage (no reap for longer than a lease, or the caller saw one) leases are left alone for one
-- lease, because nobody could extend them.
-- ARGV: 1 limit, 2 edges of lost, 3 edges of fail, 4 edges of canceled, 5 retention ms, 6 most ms to wait,
--   7 random 0..999999, 8 lease ms, 9 '1' = outage seen
-- Returns {lost, poisoned, canceled}.
local reaper, lease = q .. 'reaper', tonumber(ARGV[8])
local r = redis.call('HMGET', reaper, 'last', 'hold')
local last, hold = number(r[1]), number(r[2])
redis.call('HSET', reaper, 'last', int(now))
-- Reapers that are merely slow must not hold for ever: for one lease after a hold only a long gap starts another.
local gap = last > 0 and now - last or 0
if (ARGV[9] == '1' or gap > lease) and (now - hold > lease or gap > 4 * lease) then
  hold = now + lease
  redis.call('HSET', reaper, 'hold', int(hold))
end
if now < hold then return {0, 0, 0} end
local lost, poisoned, canceled = 0, 0, 0
local function take_away(id, j)
  local detail = 'worker ' .. (j[3] or '?') .. ' stopped answering'
  local losses = redis.call('HINCRBY', key(id), 'lost', 1)
  total(redis.call('HGET', key(id), 'pool'), 'lost', 1)
  if j[2] == '1' then
    finish(id, j[1], edge(ARGV[4], j[1]), ARGV[5])
    canceled = canceled + 1
  elseif losses >= 3 then
    finish(id, j[1], edge(ARGV[3], j[1]), ARGV[5], 'poison', detail .. '; it was the third one to be lost with this job')
    poisoned = poisoned + 1
  else
    redis.call('HSET', key(id), 'ecode', 'worker_lost', 'edetail', detail)
    move(id, j[1], edge(ARGV[2], j[1]))
    redis.call('ZADD', q .. 'delayed', now + math.floor(ARGV[6] * ARGV[7] / 1000000), id)
    bump(id, 'state')
    lost = lost + 1
  end
end
for _, id in ipairs(redis.call('ZRANGEBYSCORE', q .. 'lease', '-inf', now, 'LIMIT', 0, ARGV[1])) do
  local j = fields(id, 'state', 'cancel', 'worker')
  redis.call('ZREM', q .. 'lease', id)
  if j[1] == 'running' then take_away(id, j) end
end
return {lost, poisoned, canceled}
