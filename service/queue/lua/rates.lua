-- Adds up what keys used of their rates at all apis. rate:<tenant> is the moment (µs) at which everything has come back.
-- ARGV: tenant and µs used, in turn
-- Returns for each how many µs that moment is away.
local at, ahead = clock[1] * 1000000 + clock[2], {}
for i = 1, #ARGV, 2 do
  local name, used = q .. 'rate:' .. ARGV[i], tonumber(ARGV[i + 1])
  local due = math.max(number(redis.call('GET', name)), at) + used
  if used > 0 then redis.call('SET', name, int(due), 'PX', int(math.ceil((due - at) / 1000))) end
  ahead[#ahead + 1] = int(due - at)
end
return ahead
