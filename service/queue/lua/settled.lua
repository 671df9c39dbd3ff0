-- The store knows how the job ended; unless it has moved since.
-- ARGV: 1 id, 2 version
-- Returns how many were removed.
if (fields(ARGV[1], 'version')[1] or ARGV[2]) ~= ARGV[2] then return 0 end
return redis.call('ZREM', q .. 'unsettled', ARGV[1])
