-- Gives a reservation back; what another holds, or a job has, is left.
-- ARGV: 1 tenant, 2 key, 3 holder
-- Returns how many were removed.
local name = q .. 'idem:' .. ARGV[1] .. ':' .. ARGV[2]
if redis.call('GET', name) == 'R|' .. ARGV[3] then return redis.call('DEL', name) end
return 0
