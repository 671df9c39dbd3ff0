-- What living workers announced; what is over is forgotten.
-- Returns the JSON objects.
local texts, all = {}, redis.call('HGETALL', q .. 'models')
for i = 1, #all, 2 do
  local till, text = string.match(all[i + 1], '^(%d+)|(.*)$')
  if tonumber(till) > now then texts[#texts + 1] = text else redis.call('HDEL', q .. 'models', all[i]) end
end
return texts
