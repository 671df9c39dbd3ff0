-- Puts a delivery of a job's present state in, due now.
-- ARGV: 1 tenant, 2 hook, 3 id
-- Returns 'OK', 'NO_HOOK' or 'NO_JOB'.
if redis.call('HEXISTS', q .. 'hooks:' .. ARGV[1], ARGV[2]) == 0 then return 'NO_HOOK' end
local j = fields(ARGV[3], 'version', 'tenant')
if j[2] ~= ARGV[1] then return 'NO_JOB' end
post(ARGV[2], ARGV[1], ARGV[3], j[1])
return 'OK'
