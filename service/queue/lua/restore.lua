-- Puts back a job that has ended.
-- ARGV: 1 id, 2 tenant, 3 state, 4 expires ms, 5 idempotency key ('' = none), 6 fingerprint, 7 ms to keep the key,
--   8 how many of the rest are fields and values of the job, 9 how many after those are hooks that have to be told of
--   the end; the rest are fields and values of its segments
-- Returns 'NEW' or 'DUP'.
local id, tenant, last = ARGV[1], ARGV[2], 9 + ARGV[8]
local segments = last + 1 + ARGV[9]
if redis.call('EXISTS', key(id), q .. 'tomb:' .. id) > 0 then return 'DUP' end
for i = 10, last, 2 do redis.call('HSET', key(id), ARGV[i], ARGV[i + 1]) end
for i = segments, #ARGV, 2 do redis.call('HSET', q .. 'seg:' .. id, ARGV[i], ARGV[i + 1]) end
local bytes = number(fields(id, 'bytes')[1])
redis.call('HSET', key(id), 'bytes', '0')
hold(id, tenant, bytes)
redis.call('SADD', q .. 'pools', fields(id, 'pool')[1])
index('ZADD', id, tenant, 'any')
index('ZADD', id, tenant, ARGV[3])
redis.call('ZADD', q .. 'term', ARGV[4], id)
if ARGV[5] ~= '' then
  redis.call('SET', q .. 'idem:' .. tenant .. ':' .. ARGV[5], 'C|' .. id .. '|' .. ARGV[6], 'PX', ARGV[7], 'NX')
end
local version = fields(id, 'version')[1]
for i = last + 1, segments - 1 do post(ARGV[i], tenant, id, version) end
tell(id, 'state', version)
return 'NEW'
