-- The next delivery that is due, held back from others for a while.
-- ARGV: 1 ms to hold it
-- Returns {} or {delivery, tenant, tries, text of the endpoint}.
for _ = 1, 64 do
  local delivery = redis.call('ZRANGEBYSCORE', q .. 'hookdue', '-inf', now, 'LIMIT', 0, 1)[1]
  if not delivery then return {} end
  local tries, tenant = string.match(redis.call('HGET', q .. 'hooktry', delivery) or '', '^(%d+)|(.*)$')
  local text = tenant and redis.call('HGET', q .. 'hooks:' .. tenant, string.match(delivery, '^([^|]*)'))
  if text then
    redis.call('ZADD', q .. 'hookdue', now + ARGV[1], delivery)
    return {delivery, tenant, tries, text}
  end
  redis.call('ZREM', q .. 'hookdue', delivery)
  redis.call('HDEL', q .. 'hooktry', delivery)
end
return {}
