-- Take or renew the lease of a node.
-- KEYS[1]: chat_nodes, a sorted set: nodes by the end of their leases. KEYS[2], with the feature
-- nodes: the node's queue, a stream.
-- ARGV: the node; for how many ms: the lease; the queue, and what others keep of a node that died;
-- the id up to which the queue has been read; how many nodes there may be.
-- Returns what the lease was; the time; what the queue was; its last id; the nodes with the ends of
-- their leases.
local NODES, QUEUE, NODE = KEYS[1], KEYS[2], ARGV[1]
local LEASE_MS, LINGER_MS, CURSOR = tonumber(ARGV[2]), tonumber(ARGV[3]), ARGV[4]
local NODES_MAX = tonumber(ARGV[5])
local GONE, OVER, VALID = 0, 1, 2
-- Nothing is missing; it had to be made; it ends before the id that has been read, because it is
-- an older one; what comes behind that id is not all there.
local WHOLE, MADE, BEHIND, TRIMMED = 0, 1, 2, 3
local LEASE_AHEAD_MAX_MS = 60000
local JOURNAL_TTL_S = 90000 -- what nobody cleans up after goes in the end

local time = redis.call('TIME')
local now_ms = time[1] * 1000 + math.floor(time[2] / 1000)

local function text_of(number)
    return string.format('%.0f', number)
end

-- What has another type is as good as deleted.
local function delete_unless(key, kind)
    if redis.call('TYPE', key).ok ~= kind then
        redis.call('DEL', key)
    end
end

local function renew()
    delete_unless(NODES, 'zset')
    local known = redis.call('ZSCORE', NODES, NODE)
    redis.call('ZADD', NODES, text_of(now_ms + LEASE_MS), NODE)
    redis.call('EXPIRE', 'chat_node_fds:{' .. NODE .. '}', JOURNAL_TTL_S)
    if not known then
        return GONE
    end
    return tonumber(known) > now_ms and VALID or OVER
end

-- No lease is so long: somebody has made it up, and its node would live for ever. Or Redis' clock
-- was put back, and whoever lives renews it.
local function forget_the_immortal()
    redis.call('ZREMRANGEBYSCORE', NODES, '(' .. text_of(now_ms + LEASE_AHEAD_MAX_MS), '+inf')
end

-- A node that died is forgotten later: what is sent until then waits in its queue, and its traces
-- are still to be removed while it has a journal.
local function forget_the_dead()
    local limit = text_of(now_ms - LINGER_MS)
    for _, node in ipairs(redis.call('ZRANGEBYSCORE', NODES, '-inf', limit)) do
        if redis.call('EXISTS', 'chat_node_fds:{' .. node .. '}') == 0 then
            redis.call('ZREM', NODES, node)
        end
    end
end

-- Redis' ids have numbers of 64 bits, more than Lua can count: they are compared as texts.
local function is_less(a, b)
    return #a < #b or (#a == #b and a < b)
end

local function is_before(a, b)
    local a_ms, a_n = string.match(a, '^(%d+)%-(%d+)$')
    local b_ms, b_n = string.match(b, '^(%d+)%-(%d+)$')
    return is_less(a_ms, b_ms) or (a_ms == b_ms and is_less(a_n, b_n))
end

local function last_id()
    local info = redis.call('XINFO', 'STREAM', QUEUE)
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' then
            return info[i + 1]
        end
    end
end

-- Behind an id of the last millisecond there is soon no other. What is not read yet is read first.
local function is_usable()
    if redis.call('EXISTS', QUEUE) == 0 then
        return false
    end
    if not string.find(last_id(), '^18446744073709551615%-') then
        return true
    end
    return CURSOR ~= '' and is_before(CURSOR, last_id()) and
        #redis.call('XRANGE', QUEUE, '(' .. CURSOR, '+', 'COUNT', 1) > 0
end

local function first_id()
    local first = redis.call('XRANGE', QUEUE, '-', '+', 'COUNT', 1)[1]
    return first and first[1] or last_id()
end

local function look_after_queue()
    local was = WHOLE
    delete_unless(QUEUE, 'stream')
    if not is_usable() then
        redis.call('DEL', QUEUE)
        redis.call('XADD', QUEUE, '*', 'marker', NODE)
        was = MADE
    elseif CURSOR ~= '' and is_before(last_id(), CURSOR) then
        was = BEHIND
    elseif CURSOR ~= '' then
        was = is_before(CURSOR, first_id()) and TRIMMED or WHOLE
        redis.call('XTRIM', QUEUE, 'MINID', '~', CURSOR) -- bodies are large
    end
    redis.call('PEXPIRE', QUEUE, text_of(LINGER_MS))
    return was
end

local lease_was = renew()
local queue_was, last = WHOLE, ''
if QUEUE then
    forget_the_immortal()
    forget_the_dead()
    queue_was = look_after_queue()
    last = last_id()
end
local nodes = redis.call('ZREVRANGE', NODES, 0, NODES_MAX, 'WITHSCORES') -- one more than there may be
return {lease_was, text_of(now_ms), queue_was, last, nodes}
