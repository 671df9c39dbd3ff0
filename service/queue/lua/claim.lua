-- Gives the next job of one of the pools to a worker. Tenants take turns by virtual time (start-time fair queuing: a
-- tenant's turn costs cost/weight); within a tenant the lowest rank is next.
-- ARGV: 1 worker, 2 nonce, 3 lease ms, 4 edges of claim, 5 edges of expire, 6 retention ms, 7… pools in order of trial
-- Returns {} or {id, epoch, attempt, '1' = low memory, manifest key}. The same nonce again gives the same lease.
local worker = q .. 'w:' .. ARGV[1]
local function lease_of(id)
  local j = fields(id, 'epoch', 'attempt', 'low', 'manifest')
  return {id, j[1], j[2], j[3] or '0', j[4]}
end
local held = redis.call('HMGET', worker, 'nonce', 'job', 'epoch')
if held[1] == ARGV[2] then
  local j = fields(held[2], 'state', 'epoch')
  if j[1] == 'running' and j[2] == held[3] then
    redis.call('ZADD', q .. 'lease', 'XX', now + ARGV[3], held[2])
    return lease_of(held[2])
  end
end

local function take(id, pool, tenant, turn)
  local j = fields(id, 'cost', 'deadline', 'started', 'queued')
  move(id, 'queued', 'running')
  local weight = number(redis.call('HGET', q .. 'tenant:' .. tenant, 'weight'))
  if weight <= 0 then weight = 1 end
  local done = turn + math.max(1, number(j[1])) / weight
  redis.call('HSET', q .. 'pool:' .. pool, 'vt', turn)
  if redis.call('HLEN', q .. 'vlast:' .. pool) > 10000 then redis.call('DEL', q .. 'vlast:' .. pool) end
  redis.call('HSET', q .. 'vlast:' .. pool, tenant, done)
  redis.call('ZADD', q .. 'flows:' .. pool, 'XX', done, tenant)
  local epoch = int(redis.call('HINCRBY', key(id), 'epoch', 1))
  redis.call('HINCRBY', key(id), 'attempt', 1)
  redis.call('HSET', key(id), 'worker', ARGV[1], 'start_deadline', '0')
  if number(j[3]) == 0 then
    redis.call('HSET', key(id), 'started', int(now))
    total(pool, 'started', 1)
    total(pool, 'wait_ms', math.max(0, now - number(j[4])))
  end
  redis.call('ZREM', q .. 'deadline', id)
  if number(j[2]) > 0 then redis.call('ZADD', q .. 'deadline', j[2], id) end
  redis.call('ZADD', q .. 'lease', now + ARGV[3], id)
  redis.call('HSET', worker, 'nonce', ARGV[2], 'job', id, 'epoch', epoch)
  redis.call('PEXPIRE', worker, math.max(60000, 10 * ARGV[3]))
  bump(id, 'state')
  return lease_of(id)
end

local function first_of(pool, tenant, turn)
  for _ = 1, 16 do
    local id = redis.call('ZRANGE', q .. 'ready:' .. pool .. ':' .. tenant, 0, 0)[1]
    if not id then return nil end
    local j = fields(id, 'state', 'deadline', 'start_deadline')
    local over = (number(j[2]) > 0 and number(j[2]) <= now) or (number(j[3]) > 0 and number(j[3]) <= now)
    if not over and edge(ARGV[4], j[1]) then return take(id, pool, tenant, turn) end
    local to = edge(ARGV[5], j[1])
    if to then
      finish(id, j[1], to, ARGV[6], 'deadline_exceeded', 'the job was not started in time')
    else
      leave_flow(id, pool, tenant) -- no such job, or not queued: it must not block those behind
    end
  end
end

for i = 7, #ARGV do
  local pool = ARGV[i]
  if redis.call('HGET', q .. 'pool:' .. pool, 'paused') ~= '1' then
    local flows = redis.call('ZRANGE', q .. 'flows:' .. pool, 0, 63, 'WITHSCORES')
    for f = 1, #flows, 2 do
      local share = redis.call('HMGET', q .. 'tenant:' .. flows[f], 'max_running', 'running')
      if number(share[1]) == 0 or number(share[2]) < number(share[1]) then
        local lease = first_of(pool, flows[f], tonumber(flows[f + 1]))
        if lease then return lease end
      end
    end
  end
end
return {}
