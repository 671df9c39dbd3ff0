-- The worker has stopped a job whose cancel was accepted.
-- ARGV: 1 id, 2 epoch, 3 edges of canceled, 4 retention ms
-- Returns 'OK' (also when it was done before) or 'LOST' (also when nobody asked for it).
local id = ARGV[1]
local j = fields(id, 'state', 'epoch', 'cancel')
if j[2] ~= ARGV[2] or j[3] ~= '1' then return 'LOST' end
if j[1] == 'canceled' then return 'OK' end
local to = edge(ARGV[3], j[1])
if not to then return 'LOST' end
redis.call('HDEL', key(id), 'ecode', 'edetail')
finish(id, j[1], to, ARGV[4])
return 'OK'
