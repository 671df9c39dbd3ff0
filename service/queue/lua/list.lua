-- A page of ids, in order of creation.
-- ARGV: 1 tenant or '*', 2 state or 'any', 3 id to start after ('' = none), 4 '1' = oldest first, 5 limit, 6 tag ('' = any),
--   7 its value, 8 how many to look at at most
-- Returns {'1' = there are more, last id looked at, id…}, or 'UNSURE'.
if unsure() then return 'UNSURE' end
local name = q .. 'idx:' .. ARGV[1] .. ':' .. ARGV[2]
local after, limit, left = ARGV[3], tonumber(ARGV[5]), tonumber(ARGV[8])
local found = {'0', ''}
local function fits(id)
  if ARGV[6] == '' then return true end
  local ok, tags = pcall(cjson.decode, fields(id, 'tags')[1] or '{}')
  return ok and tags[ARGV[6]] == ARGV[7]
end
while left > 0 do
  local batch
  if ARGV[4] == '1' then
    batch = redis.call('ZRANGEBYLEX', name, after == '' and '-' or '(' .. after, '+', 'LIMIT', 0, 128)
  else
    batch = redis.call('ZREVRANGEBYLEX', name, after == '' and '+' or '(' .. after, '-', 'LIMIT', 0, 128)
  end
  if #batch == 0 then return found end
  for _, id in ipairs(batch) do
    if fits(id) then
      if #found - 2 == limit then
        found[1] = '1'
        return found
      end
      found[#found + 1] = id
    end
    after = id
    found[2] = id
  end
  left = left - #batch
end
found[1] = '1'
return found
