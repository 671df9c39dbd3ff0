-- Makes counters, indexes and sets what the jobs themselves say. For operators: it looks at every job in one step.
-- ARGV: 1 most jobs
-- Returns how many entries were wrong, or -1 when there are too many jobs for one step.
local jobs = redis.call('KEYS', q .. 'job:*')
if #jobs > tonumber(ARGV[1]) then return -1 end
local want, flows, counts, changed = {}, {}, {pool = {}, tenant = {}}, 0
local function wants(name, id, score)
  want[q .. name] = want[q .. name] or {}
  want[q .. name][id] = score
end
local function add(kind, name, state)
  local c = counts[kind][name] or {queued = 0, waiting = 0, running = 0}
  counts[kind][name] = c
  if c[state] then c[state] = c[state] + 1 end
end
for _, k in ipairs(jobs) do
  local id = string.sub(k, #q + 5)
  local j = redis.call('HMGET', k, 'state', 'tenant', 'pool', 'rank', 'expires', 'bytes')
  local state, tenant, pool = j[1] or 'none', j[2] or '', j[3] or ''
  for _, owner in ipairs({tenant, '*'}) do
    wants('idx:' .. owner .. ':any', id, 0)
    wants('idx:' .. owner .. ':' .. state, id, 0)
  end
  add('tenant', tenant, state)
  counts.tenant[tenant].stored = (counts.tenant[tenant].stored or 0) + number(j[6])
  add('pool', pool, state)
  if state == 'queued' then
    wants('ready:' .. pool .. ':' .. tenant, id, number(j[4]))
    flows[q .. 'flows:' .. pool] = flows[q .. 'flows:' .. pool] or {}
    flows[q .. 'flows:' .. pool][tenant] = true
  elseif state == 'waiting' then
    wants('delayed', id, now)
  elseif state == 'running' then
    wants('lease', id, now) -- nobody is known to hold it: the reaper takes it away
  else
    wants('term', id, number(j[5]))
  end
end
local function settle(name)
  local wanted = want[name] or {}
  for _, id in ipairs(redis.call('ZRANGE', name, 0, -1)) do
    if wanted[id] == nil then
      redis.call('ZREM', name, id)
      changed = changed + 1
    else
      wanted[id] = false
    end
  end
  for id, score in pairs(wanted) do
    if score then
      redis.call('ZADD', name, score, id)
      changed = changed + 1
    end
  end
  want[name] = nil
end
for _, pattern in ipairs({'ready:*', 'idx:*', 'lease', 'delayed', 'term'}) do
  for _, name in ipairs(redis.call('KEYS', q .. pattern)) do settle(name) end
end
local rest = {}
for name in pairs(want) do rest[#rest + 1] = name end
for _, name in ipairs(rest) do settle(name) end
for kind, names in pairs(counts) do
  for _, k in ipairs(redis.call('KEYS', q .. kind .. ':*')) do
    local name = string.sub(k, #q + #kind + 2)
    names[name] = names[name] or {queued = 0, waiting = 0, running = 0, stored = kind == 'tenant' and 0 or nil}
  end
  for name, states in pairs(names) do
    for state, should in pairs(states) do
      local hash = q .. kind .. ':' .. name
      if number(redis.call('HGET', hash, state)) ~= should then
        redis.call('HSET', hash, state, int(should))
        changed = changed + 1
      end
    end
  end
end
for _, name in ipairs(redis.call('KEYS', q .. 'flows:*')) do
  for _, tenant in ipairs(redis.call('ZRANGE', name, 0, -1)) do
    if flows[name] and flows[name][tenant] then
      flows[name][tenant] = nil
    else
      redis.call('ZREM', name, tenant)
      changed = changed + 1
    end
  end
end
for name, tenants in pairs(flows) do
  local pool = string.sub(name, #q + 7)
  for tenant in pairs(tenants) do
    redis.call('ZADD', name, number(redis.call('HGET', q .. 'pool:' .. pool, 'vt')), tenant)
    redis.call('LPUSH', q .. 'wake:' .. pool, 1)
    changed = changed + 1
  end
end
return changed
