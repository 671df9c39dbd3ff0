-- Ends a job with its result. The pointer to the result moves here and nowhere else.
-- ARGV: 1 id, 2 epoch, 3 edges of complete, 4 retention ms, 5 key, 6 sha256, 7 bytes, 8 content type, 9 width, 10 height,
--   11 frames
-- Returns 'OK' (also when it was done before, with the same content), 'LOST' or 'CANCELED' (nothing changed).
local id = ARGV[1]
local j = fields(id, 'state', 'epoch', 'cancel', 'rsha', 'tenant', 'pool', 'started')
if j[2] ~= ARGV[2] then return 'LOST' end
if j[1] == 'succeeded' and j[4] == ARGV[6] then return 'OK' end
local to = edge(ARGV[3], j[1])
if not to then return 'LOST' end
if j[3] == '1' then return 'CANCELED' end
redis.call('HSET', key(id), 'rkey', ARGV[5], 'rsha', ARGV[6], 'rbytes', ARGV[7], 'rtype', ARGV[8], 'rw', ARGV[9],
  'rh', ARGV[10], 'rframes', ARGV[11], 'ppm', '1000000')
redis.call('HDEL', key(id), 'ecode', 'edetail')
hold(id, j[5], tonumber(ARGV[7]))
total(j[6], 'run_ms', math.max(0, now - number(j[7])))
finish(id, j[1], to, ARGV[4])
return 'OK'
