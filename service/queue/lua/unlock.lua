-- Gives a lock back; another's is left.
-- ARGV: 1 name, 2 token
-- Returns how many were removed.
local name = q .. 'lock:' .. ARGV[1]
if redis.call('GET', name) == ARGV[2] then return redis.call('DEL', name) end
return 0
