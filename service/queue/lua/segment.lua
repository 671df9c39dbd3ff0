-- Commits one segment: the first of a number wins, a new plan starts over.
-- ARGV: 1 id, 2 epoch, 3 plan hash, 4 number, 5 'key|sha256|bytes|first_frame|frames|epoch|state key|sha256|bytes'
-- Returns 'NEW', 'SAME', 'KEPT' (another content was first) or 'LOST'.
local id, segments = ARGV[1], q .. 'seg:' .. ARGV[1]
local j = fields(id, 'state', 'epoch', 'tenant', 'segbytes', 'pool')
if j[1] ~= 'running' or j[2] ~= ARGV[2] then return 'LOST' end
if redis.call('HGET', segments, '_plan') ~= ARGV[3] then
  redis.call('DEL', segments)
  redis.call('HSET', segments, '_plan', ARGV[3])
  hold(id, j[3], -number(j[4]))
  redis.call('HDEL', key(id), 'segbytes')
end
local first = redis.call('HGET', segments, ARGV[4])
if first then
  local sha = '^[^|]*|([^|]*)|'
  if string.match(first, sha) == string.match(ARGV[5], sha) then return 'SAME' end
  return 'KEPT'
end
redis.call('HSET', segments, ARGV[4], ARGV[5])
local bytes = number(string.match(ARGV[5], '^[^|]*|[^|]*|(%d+)|')) + number(string.match(ARGV[5], '|(%d+)$'))
redis.call('HINCRBY', key(id), 'segbytes', int(bytes))
hold(id, j[3], bytes)
redis.call('HSET', key(id), 'segd', redis.call('HLEN', segments) - 1)
total(j[5], 'segments', 1)
total(j[5], 'frames', number(string.match(ARGV[5], '^[^|]*|[^|]*|[^|]*|[^|]*|(%d+)|')))
bump(id, 'segment')
return 'NEW'
