-- Starts a failed job anew: attempts, losses and passed deadlines are forgotten, its segments are kept.
-- ARGV: 1 id, 2 edges of retry, 3 nonce of the call
-- Returns 'OK', 'NOT_FAILED', 'PURGED', 'NONE' or 'UNSURE'.
local id = ARGV[1]
local j = fields(id, 'state', 'retry_nonce', 'prio', 'deadline')
if not j[1] then return absent(id) end
if j[2] == ARGV[3] then return 'OK' end
local to = edge(ARGV[2], j[1])
if not to then return 'NOT_FAILED' end
redis.call('HSET', key(id), 'attempt', '0', 'lost', '0', 'retry_nonce', ARGV[3], 'rank', int(rank_of(j[3])), 'queued', int(now),
  'started', '0', 'finished', '0', 'expires', '0')
redis.call('HDEL', key(id), 'ecode', 'edetail', 'oom', 'low', 'stalls', 'cancel', 'overdue', 'fepoch', 'repoch')
redis.call('ZREM', q .. 'term', id)
redis.call('ZREM', q .. 'unsettled', id)
if number(j[4]) > now then
  redis.call('ZADD', q .. 'deadline', j[4], id)
else
  redis.call('HSET', key(id), 'deadline', '0')
end
redis.call('PERSIST', q .. 'evj:' .. id)
move(id, j[1], to)
bump(id, 'state')
return 'OK'
