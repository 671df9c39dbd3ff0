-- Reserves an idempotency key, or says who has it.
-- ARGV: 1 tenant, 2 key, 3 holder, 4 ms to hold it
-- Returns {'RESERVED'}, {'BUSY'}, {'REPLAY', job id, fingerprint}, or 'UNSURE'.
local name = q .. 'idem:' .. ARGV[1] .. ':' .. ARGV[2]
local value = redis.call('GET', name)
if not value and unsure() then return 'UNSURE' end
if not value or value == 'R|' .. ARGV[3] then
  redis.call('SET', name, 'R|' .. ARGV[3], 'PX', ARGV[4])
  return {'RESERVED'}
end
local id, fingerprint = string.match(value, '^C|([^|]*)|(.*)$')
if not id then return {'BUSY'} end
return {'REPLAY', id, fingerprint}
