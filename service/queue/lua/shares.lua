-- Share and bound of tenants; writes only what is new.
-- ARGV: tenant, weight, most jobs at once (0 = no bound); and so on
-- Returns how many were new.
local changed = 0
for i = 1, #ARGV, 3 do
  local name = q .. 'tenant:' .. ARGV[i]
  local j = redis.call('HMGET', name, 'weight', 'max_running')
  if (j[1] or '1') ~= ARGV[i + 1] or (j[2] or '0') ~= ARGV[i + 2] then
    redis.call('HSET', name, 'weight', ARGV[i + 1], 'max_running', ARGV[i + 2])
    changed = changed + 1
  end
end
return changed
