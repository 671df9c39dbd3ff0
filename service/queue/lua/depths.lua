-- How much there is to do.
-- Returns for every pool: name, paused, queued, waiting, running, age in ms of the oldest that is next of its tenant,
--   succeeded, failed, canceled, expired; and what happened so far: jobs started, ms that they waited, ms from start to
--   success, segments, frames, retries, lost leases.
local found = {}
for i, pool in ipairs(redis.call('SMEMBERS', q .. 'pools')) do
  if i > 256 then break end
  local p = redis.call('HMGET', q .. 'pool:' .. pool, 'paused', 'queued', 'waiting', 'running', 'succeeded', 'failed', 'canceled',
    'expired', 'sum_started', 'sum_wait_ms', 'sum_run_ms', 'sum_segments', 'sum_frames', 'sum_retries', 'sum_lost')
  local oldest = 0
  for _, tenant in ipairs(redis.call('ZRANGE', q .. 'flows:' .. pool, 0, 63)) do
    local id = redis.call('ZRANGE', q .. 'ready:' .. pool .. ':' .. tenant, 0, 0)[1]
    if id then oldest = math.max(oldest, now - number(fields(id, 'queued')[1])) end
  end
  for _, value in ipairs({pool, p[1] or '0', p[2] or '0', p[3] or '0', p[4] or '0', int(oldest)}) do found[#found + 1] = value end
  for n = 5, 15 do found[#found + 1] = p[n] or '0' end
end
return found
