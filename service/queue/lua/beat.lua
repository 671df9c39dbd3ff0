-- Extends a lease and records progress. Progress is an event, and visible, only when it moved by 1 %, changed its stage
-- or segment, or a second has passed, so that a version always stands for one content.
-- ARGV: 1 id, 2 epoch, 3 lease ms, and with progress 4 stage, 5 ppm, 6 segments done, 7 segments, 8 step, 9 steps,
--   10 frames done, 11 eta low, 12 eta high
-- Returns 'OK', 'CANCEL', 'DEADLINE' or 'LOST'.
local id = ARGV[1]
local j = fields(id, 'state', 'epoch', 'cancel', 'overdue', 'stage', 'ppm', 'segd', 'prog_at', 'step', 'frames')
if j[1] ~= 'running' or j[2] ~= ARGV[2] then return 'LOST' end
redis.call('ZADD', q .. 'lease', 'XX', now + ARGV[3], id)
if ARGV[4] then
  local changed = j[6] ~= ARGV[5] or j[9] ~= ARGV[8] or j[10] ~= ARGV[10]
  local far = math.abs(number(j[6]) - ARGV[5]) >= 10000 or now - number(j[8]) >= 1000
  if (changed and far) or j[5] ~= ARGV[4] or j[7] ~= ARGV[6] then
    redis.call('HSET', key(id), 'stage', ARGV[4], 'ppm', ARGV[5], 'segd', ARGV[6], 'segt', ARGV[7], 'step', ARGV[8],
      'steps', ARGV[9], 'frames', ARGV[10], 'eta_lo', ARGV[11], 'eta_hi', ARGV[12], 'prog_at', int(now))
    bump(id, 'progress')
  end
end
if j[3] == '1' then return 'CANCEL' end
if j[4] == '1' then return 'DEADLINE' end
return 'OK'
