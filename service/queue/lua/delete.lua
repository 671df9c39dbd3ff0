-- Forgets a job that has ended; a tombstone answers for it.
-- ARGV: 1 id, 2 edges of purge, 3 ms to keep the tombstone, 4 nonce of the call
-- Returns 'OK', 'NOT_TERMINAL', 'PURGED', 'NONE' or 'UNSURE'.
local id = ARGV[1]
local j = fields(id, 'state', 'tenant', 'version', 'bytes')
if not j[1] then
  local nonce = string.match(redis.call('GET', q .. 'tomb:' .. id) or '', '|([^|]*)$')
  return nonce == ARGV[4] and 'OK' or absent(id)
end
if not edge(ARGV[2], j[1]) then return 'NOT_TERMINAL' end
hold(id, j[2], -number(j[4]))
redis.call('SET', q .. 'tomb:' .. id, j[2] .. '|' .. ARGV[4], 'PX', ARGV[3])
index('ZREM', id, j[2], 'any')
index('ZREM', id, j[2], j[1])
redis.call('ZREM', q .. 'term', id)
redis.call('ZREM', q .. 'unsettled', id)
redis.call('XADD', q .. 'ev', 'MAXLEN', '~', 20000, '*', 'job', id, 'type', 'purged', 'version', int(j[3] + 1))
redis.call('DEL', key(id), q .. 'seg:' .. id, q .. 'evj:' .. id)
return 'OK'
