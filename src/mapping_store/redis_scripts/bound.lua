-- Bound a node's queue in bytes: whoever reads it is cut off or dead, or this would not be needed.
-- KEYS[1]: the queue. ARGV: what it may take. The oldest half goes, until that is enough.
local QUEUE, SIZE_MAX = KEYS[1], tonumber(ARGV[1])

if redis.call('TYPE', QUEUE).ok ~= 'stream' then
    return 0
end
local n = redis.call('XLEN', QUEUE)
local n_dropped = 0
while n > 1 and redis.call('MEMORY', 'USAGE', QUEUE, 'SAMPLES', 0) > SIZE_MAX do
    local n_kept = math.floor(n / 2)
    redis.call('XTRIM', QUEUE, 'MAXLEN', '=', n_kept)
    n_dropped = n_dropped + n - n_kept
    n = n_kept
end
return n_dropped
