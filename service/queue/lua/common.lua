-- Put in front of every script. KEYS[1] is the prefix of all keys ("{q}:"); the braces keep them in one cluster slot.
-- Edges of the state machine come as ARGV, "from>to,from>to" out of the table in job_state.c.
local q = KEYS[1]
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
local function int(x) return string.format('%.0f', x) end
local function key(id) return q .. 'job:' .. id end
local function fields(id, ...) return redis.call('HMGET', key(id), ...) end
local function number(x) return tonumber(x or 0) or 0 end
local function edge(edges, state) return string.match(',' .. edges, ',' .. (state or 'none') .. '>(%a+)') end

-- What to say of an id that is not here. Without the marker Redis was emptied and the store has not been asked yet
-- (the ledger does that): then nobody knows.
local function unsure() return redis.call('EXISTS', q .. 'marker') == 0 end
local function absent(id)
  if redis.call('EXISTS', q .. 'tomb:' .. id) == 1 then return 'PURGED' end
  return unsure() and 'UNSURE' or 'NONE'
end

local function tell(id, kind, version)
  local at = redis.call('XADD', q .. 'ev', 'MAXLEN', '~', 20000, '*', 'job', id, 'type', kind, 'version', version)
  redis.call('RPUSH', q .. 'evj:' .. id, at .. '|' .. kind .. '|' .. version)
  redis.call('LTRIM', q .. 'evj:' .. id, -64, -1)
end
local function bump(id, kind)
  local version = int(redis.call('HINCRBY', key(id), 'version', 1))
  tell(id, kind, version)
  return version
end

local live = {queued = true, waiting = true, running = true}
local function count(pool, tenant, state, by)
  if live[state] then redis.call('HINCRBY', q .. 'tenant:' .. tenant, state, by) end
  if live[state] or by > 0 then redis.call('HINCRBY', q .. 'pool:' .. pool, state, by) end
end
-- What happened in a pool so far, for those who watch it.
local function total(pool, what, by) redis.call('HINCRBY', q .. 'pool:' .. pool, 'sum_' .. what, int(by)) end
local function index(command, id, tenant, state)
  for _, owner in ipairs({tenant, '*'}) do
    local name = q .. 'idx:' .. owner .. ':' .. state
    if command == 'ZADD' then redis.call('ZADD', name, 0, id) else redis.call('ZREM', name, id) end
  end
end

-- What a job has in the store counts against its tenant.
local function hold(id, tenant, by)
  if by == 0 then return end
  redis.call('HINCRBY', key(id), 'bytes', int(by))
  redis.call('HINCRBY', q .. 'tenant:' .. tenant, 'stored', int(by))
end

-- Bytes of a tenant's resumable uploads; what has expired is forgotten on the way.
local function uploading(tenant)
  local name, sum, all = q .. 'uploads:' .. tenant, 0, redis.call('HGETALL', q .. 'uploads:' .. tenant)
  for i = 1, #all, 2 do
    local bytes, expires = string.match(all[i + 1], '^(%d+)|(%d+)$')
    if number(expires) > now then sum = sum + number(bytes) else redis.call('HDEL', name, all[i]) end
  end
  return sum
end

-- ready:<pool>:<tenant> holds ids by rank; flows:<pool> the tenants that have any, by virtual time.
local function enter_flow(id, pool, tenant, rank)
  local flows = q .. 'flows:' .. pool
  redis.call('ZADD', q .. 'ready:' .. pool .. ':' .. tenant, rank, id)
  if not redis.call('ZSCORE', flows, tenant) then
    local vt = number(redis.call('HGET', q .. 'pool:' .. pool, 'vt'))
    local last = number(redis.call('HGET', q .. 'vlast:' .. pool, tenant))
    redis.call('ZADD', flows, math.max(vt, last), tenant)
  end
  redis.call('LPUSH', q .. 'wake:' .. pool, 1)
  redis.call('LTRIM', q .. 'wake:' .. pool, 0, 63)
end
local function leave_flow(id, pool, tenant)
  local ready = q .. 'ready:' .. pool .. ':' .. tenant
  redis.call('ZREM', ready, id)
  if redis.call('ZCARD', ready) == 0 then redis.call('ZREM', q .. 'flows:' .. pool, tenant) end
end
-- A rank is a band by priority (9 first) with the arrivals in its upper half and, before them, what was handed back.
local function rank_of(priority, front)
  local middle = (9 - number(priority)) * 1e12 + 5e11
  if front then return middle - redis.call('INCR', q .. 'front') end
  return middle + redis.call('INCR', q .. 'seq')
end

-- Every change of state goes through here: sets, counters and indexes follow.
local function move(id, from, to)
  local j = fields(id, 'pool', 'tenant', 'rank', 'deadline')
  local pool, tenant = j[1], j[2]
  if from == 'queued' then leave_flow(id, pool, tenant) end
  if from == 'waiting' then redis.call('ZREM', q .. 'delayed', id) end
  if from == 'running' then redis.call('ZREM', q .. 'lease', id) end
  redis.call('HSET', key(id), 'state', to)
  count(pool, tenant, from, -1)
  count(pool, tenant, to, 1)
  index('ZREM', id, tenant, from)
  index('ZADD', id, tenant, to)
  if to == 'queued' then enter_flow(id, pool, tenant, j[3]) end
  if from == 'running' and number(j[4]) > 0 then redis.call('ZADD', q .. 'deadline', j[4], id) end
  return pool, tenant
end
-- A delivery that is due now: into the outbox.
local function post(hook, tenant, id, version)
  local delivery = hook .. '|' .. id .. '|' .. version
  redis.call('ZADD', q .. 'hookdue', now, delivery)
  redis.call('HSET', q .. 'hooktry', delivery, '0|' .. tenant)
end
local function finish(id, from, to, retention, code, detail)
  local _, tenant = move(id, from, to)
  redis.call('HSET', key(id), 'finished', int(now), 'expires', int(now + retention))
  if code then redis.call('HSET', key(id), 'ecode', code, 'edetail', detail) end
  redis.call('ZREM', q .. 'deadline', id)
  redis.call('ZADD', q .. 'term', now + retention, id)
  redis.call('ZADD', q .. 'unsettled', now, id)
  local version = bump(id, 'state')
  redis.call('PEXPIRE', q .. 'evj:' .. id, 86400000)
  for _, hook in ipairs(redis.call('HKEYS', q .. 'hooks:' .. tenant)) do post(hook, tenant, id, version) end
end
