-- What a tenant has, and room for one more upload.
-- ARGV: 1 tenant, 2 id of an upload to count from now on ('' = none), 3 its bytes, 4 when it expires (ms),
--   5 bytes that the tenant may have stored (0 = no bound)
-- Returns {queued, waiting, running, stored, '1' = the upload was counted}.
local j = redis.call('HMGET', q .. 'tenant:' .. ARGV[1], 'queued', 'waiting', 'running', 'stored')
local stored, most, counted = number(j[4]) + uploading(ARGV[1]), tonumber(ARGV[5]), '0'
if ARGV[2] ~= '' and (most == 0 or stored + tonumber(ARGV[3]) <= most) then
  redis.call('HSET', q .. 'uploads:' .. ARGV[1], ARGV[2], ARGV[3] .. '|' .. ARGV[4])
  stored, counted = stored + tonumber(ARGV[3]), '1'
end
return {j[1] or '0', j[2] or '0', j[3] or '0', int(stored), counted}
