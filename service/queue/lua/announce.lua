-- A worker says which models it serves.
-- ARGV: 1 worker, 2 JSON object of models, 3 ms that this holds
-- Returns 'OK'.
redis.call('HSET', q .. 'models', ARGV[1], int(now + ARGV[3]) .. '|' .. ARGV[2])
return 'OK'
