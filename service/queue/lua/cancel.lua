-- Cancels a job, or asks its worker to stop.
-- ARGV: 1 id, 2 edges of cancel, 3 who, 4 nonce of the call, 5 retention ms
-- Returns 'DONE', 'ASKED', 'TERMINAL', 'PURGED', 'NONE' or 'UNSURE'.
local id = ARGV[1]
local j = fields(id, 'state', 'cancel', 'cancel_nonce')
if not j[1] then return absent(id) end
if j[1] == 'canceled' and j[3] == ARGV[4] then return 'DONE' end
local to = edge(ARGV[2], j[1])
if not to then return 'TERMINAL' end
if to == j[1] then
  if j[2] ~= '1' then
    redis.call('HSET', key(id), 'cancel', '1', 'cancel_who', ARGV[3])
    bump(id, 'cancel')
  end
  return 'ASKED'
end
redis.call('HSET', key(id), 'cancel', '1', 'cancel_who', ARGV[3], 'cancel_nonce', ARGV[4])
redis.call('HDEL', key(id), 'ecode', 'edetail')
finish(id, j[1], to, ARGV[5])
return 'DONE'
