-- Registers an endpoint of a tenant.
-- ARGV: 1 tenant, 2 hook, 3 text, 4 most endpoints of a tenant
-- Returns 'OK' or 'FULL'.
local hooks = q .. 'hooks:' .. ARGV[1]
if redis.call('HEXISTS', hooks, ARGV[2]) == 0 and redis.call('HLEN', hooks) >= tonumber(ARGV[4]) then return 'FULL' end
redis.call('HSET', hooks, ARGV[2], ARGV[3])
return 'OK'
