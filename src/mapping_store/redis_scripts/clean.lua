-- Remove a part of what a dead node has left, unless it has come back.
-- KEYS: chat_nodes; the node's journal, a hash of fds with their uids; its queue.
-- ARGV: the node; how much is a part; for how many ms its queue stays.
-- Returns how much is left.
local NODES, JOURNAL, QUEUE, NODE = KEYS[1], KEYS[2], KEYS[3], ARGV[1]

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)
local lease_end_ms = redis.call('ZSCORE', NODES, NODE)
if lease_end_ms and tonumber(lease_end_ms) > now_ms then
    return 0
end
if redis.call('PTTL', QUEUE) == -1 then -- others have made it, and it has not said how long it lives
    redis.call('PEXPIRE', QUEUE, ARGV[3])
end
if redis.call('TYPE', JOURNAL).ok ~= 'hash' then
    redis.call('DEL', JOURNAL)
    return 0
end
-- Any of them: what has been seen is gone. (HSCAN from the beginning would look into the same buckets
-- again, which are empty by then.)
local page = redis.call('HRANDFIELD', JOURNAL, ARGV[2], 'WITHVALUES')
for i = 1, #page, 2 do
    local fd, uid = page[i], page[i + 1]
    if string.sub(fd, 1, #NODE + 1) == NODE .. '.' then -- or the node cannot have written it
        redis.pcall('SREM', 'chat_map_uid_fd:' .. uid, fd)
        redis.call('DEL', 'chat_map_fd_uid:' .. fd)
    end
    redis.call('HDEL', JOURNAL, fd)
end
return redis.call('HLEN', JOURNAL)
