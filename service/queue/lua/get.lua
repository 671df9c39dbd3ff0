-- Reads a job.
-- ARGV: 1 id
-- Returns {fields and values, place in the queue or 0, tenant of a deleted job or ''}, or 'UNSURE'. The place is exact for a tenant
-- alone; where tenants share a pool, each other one is taken to have as many turns before.
local id = ARGV[1]
local all = redis.call('HGETALL', key(id))
if #all == 0 then
  local tenant = string.match(redis.call('GET', q .. 'tomb:' .. id) or '', '^(.*)|')
  if not tenant and unsure() then return 'UNSURE' end
  return {all, 0, tenant or ''}
end
local j = fields(id, 'state', 'pool', 'tenant')
if j[1] ~= 'queued' then return {all, 0, ''} end
local place = (redis.call('ZRANK', q .. 'ready:' .. j[2] .. ':' .. j[3], id) or 0) + 1
local before = place
for _, tenant in ipairs(redis.call('ZRANGE', q .. 'flows:' .. j[2], 0, 63)) do
  if tenant ~= j[3] then before = before + math.min(place, redis.call('ZCARD', q .. 'ready:' .. j[2] .. ':' .. tenant)) end
end
return {all, before, ''}
