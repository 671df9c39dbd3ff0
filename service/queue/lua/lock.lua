-- Takes or extends a lock.
-- ARGV: 1 name, 2 token, 3 ms
-- Returns 1 or 0.
local name = q .. 'lock:' .. ARGV[1]
local owner = redis.call('GET', name)
if owner and owner ~= ARGV[2] then return 0 end
redis.call('SET', name, ARGV[2], 'PX', ARGV[3])
return 1
