-- A worker hands a job back (drain): to the front of its band, no attempt counted.
-- ARGV: 1 id, 2 epoch, 3 edges of release
-- Returns 'OK' (also when it was done before), 'LOST' or 'CANCELED' (nothing changed).
local id = ARGV[1]
local j = fields(id, 'state', 'epoch', 'cancel', 'prio', 'repoch')
if j[2] ~= ARGV[2] then return 'LOST' end
if j[5] == ARGV[2] then return 'OK' end
local to = edge(ARGV[3], j[1])
if not to then return 'LOST' end
if j[3] == '1' then return 'CANCELED' end
redis.call('HSET', key(id), 'rank', int(rank_of(j[4], true)), 'repoch', ARGV[2])
redis.call('HINCRBY', key(id), 'attempt', -1)
move(id, j[1], to)
bump(id, 'state')
return 'OK'
