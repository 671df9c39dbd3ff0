-- An attempt failed.
-- ARGV: 1 id, 2 epoch, 3 edges of fail_retry, 4 edges of fail, 5 what: 'final', 'retry', 'storage' (no attempt counted)
--   or 'oom' (once more, with less memory), 6 code, 7 detail, 8 backoff base ms, 9 backoff cap ms, 10 random 0..999999,
--   11 retention ms
-- Returns 'OK' (also when it was done before), 'LOST' or 'CANCELED' (nothing changed).
local id, what = ARGV[1], ARGV[5]
local j = fields(id, 'state', 'epoch', 'cancel', 'attempt', 'max_attempts', 'oom', 'fepoch', 'stalls')
if j[2] ~= ARGV[2] then return 'LOST' end
if j[7] == ARGV[2] then return 'OK' end
if j[1] ~= 'running' then return 'LOST' end
if j[3] == '1' then return 'CANCELED' end
redis.call('HSET', key(id), 'fepoch', ARGV[2], 'ecode', ARGV[6], 'edetail', ARGV[7])
local attempt, stalls = number(j[4]), number(j[8])
local spent = what ~= 'storage' and attempt >= number(j[5])
if what == 'final' or spent or (what == 'oom' and number(j[6]) > 0) then
  finish(id, 'running', edge(ARGV[4], 'running'), ARGV[11], ARGV[6], ARGV[7])
  return 'OK'
end
total(redis.call('HGET', key(id), 'pool'), 'retries', 1)
local power = attempt
if what == 'storage' then
  redis.call('HINCRBY', key(id), 'attempt', -1)
  power = redis.call('HINCRBY', key(id), 'stalls', 1)
elseif what == 'oom' then
  redis.call('HSET', key(id), 'oom', '1', 'low', '1')
end
local most = math.min(tonumber(ARGV[9]), ARGV[8] * 2 ^ math.min(power - 1, 30))
move(id, 'running', edge(ARGV[3], 'running'))
redis.call('ZADD', q .. 'delayed', now + math.floor(most * ARGV[10] / 1000000), id)
bump(id, 'state')
return 'OK'
