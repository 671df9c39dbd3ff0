-- Puts a job in, and commits its idempotency key.
-- ARGV: 1 id, 2 tenant, 3 pool, 4 priority, 5 max_attempts, 6 created, 7 deadline, 8 start deadline (ms; 0 = none),
--   9 manifest key, 10 params, 11 input, 12 tags, 13 traceparent, 14 cost, 15 max_queued, 16 idempotency key ('' = none),
--   17 fingerprint, 18 ms to keep the key, 19 '1' = recovered from the store, 20 random 0..999, 21 bytes of the inputs,
--   22 bytes that the tenant may have stored (0 = no bound), 23 tracestate ('' = none), 24… hash and key of each input that may be copied from
-- Returns {'NEW'}, {'DUP'}, {'FULL'}, {'STORED'} or {'KEY', id of the job that has the key}.
local id, tenant, pool, recovered = ARGV[1], ARGV[2], ARGV[3], ARGV[19] == '1'
if redis.call('EXISTS', key(id), q .. 'tomb:' .. id) > 0 then return {'DUP'} end
local idem = ARGV[16] ~= '' and q .. 'idem:' .. tenant .. ':' .. ARGV[16]
local other = idem and string.match(redis.call('GET', idem) or '', '^C|([^|]+)|')
if other and not recovered then return {'KEY', other} end
local busy = redis.call('HMGET', q .. 'tenant:' .. tenant, 'queued', 'waiting', 'stored')
if not recovered and number(busy[1]) + number(busy[2]) >= tonumber(ARGV[15]) then return {'FULL'} end
local most = tonumber(ARGV[22])
if not recovered and most > 0 and number(busy[3]) + uploading(tenant) + tonumber(ARGV[21]) > most then return {'STORED'} end
if idem and not other then redis.call('SET', idem, 'C|' .. id .. '|' .. ARGV[17], 'PX', ARGV[18]) end

-- A recovered job was here before, with versions and epochs that are forgotten. It had at most one event a millisecond,
-- so what is new is above that; the random digits keep epochs apart even where the clocks of the programs disagree.
local version, epoch = 0, 0
if recovered then
  version = math.max(0, now - tonumber(ARGV[6])) + 1000
  epoch = version * 1000 + tonumber(ARGV[20])
end
redis.call('HSET', key(id), 'state', 'queued', 'tenant', tenant, 'pool', pool, 'prio', ARGV[4], 'max_attempts', ARGV[5],
  'created', ARGV[6], 'queued', int(now), 'deadline', ARGV[7], 'start_deadline', ARGV[8], 'manifest', ARGV[9],
  'params', ARGV[10], 'input', ARGV[11], 'tags', ARGV[12], 'trace', ARGV[13], 'cost', ARGV[14],
  'rank', int(rank_of(ARGV[4])), 'version', int(version), 'epoch', int(epoch), 'attempt', '0', 'lost', '0')
if ARGV[23] ~= '' then redis.call('HSET', key(id), 'tstate', ARGV[23]) end
hold(id, tenant, tonumber(ARGV[21]))
redis.call('SADD', q .. 'pools', pool)
count(pool, tenant, 'queued', 1)
index('ZADD', id, tenant, 'any')
index('ZADD', id, tenant, 'queued')
local first = math.huge
for _, deadline in ipairs({number(ARGV[7]), number(ARGV[8])}) do
  if deadline > 0 then first = math.min(first, deadline) end
end
if first < math.huge then redis.call('ZADD', q .. 'deadline', first, id) end
enter_flow(id, pool, tenant, redis.call('HGET', key(id), 'rank'))
for i = 24, #ARGV - 1, 2 do
  redis.call('SET', q .. 'input:' .. tenant .. ':' .. ARGV[i], ARGV[i + 1], 'PX', 604800000)
end
bump(id, 'state')
return {'NEW'}
