-- What each inbox script begins with: the inbox of one uid, as far as it is known.
-- KEYS[1]: the stream of messages. KEYS[2]: its state, a hash of ids.
--
-- The stream may have been deleted or be an older one, the state as well, and either may be
-- garbage: then what is left decides, and what may be missing counts as dropped.
local INBOX, STATE = KEYS[1], KEYS[2]
local NONE, ID_MAX = '0-0', '9007199254740991-9007199254740991'
local DROPS_MAX = 100 -- messages that one send drops, if the limit was lowered
local note = '' -- what was put right, for the log

-- An id's two numbers. Nil if it is none: Redis has larger ones, but the protocol has not.
local function parts(id)
    local ms, n = string.match(id or '', '^(%d+)%-(%d+)$')
    if not ms or #ms > 16 or #n > 16 then
        return nil
    end
    return tonumber(ms), tonumber(n)
end

local function is_id(id)
    local ms, n = parts(id)
    return ms ~= nil and ms <= 9007199254740991 and n <= 9007199254740991
end

local function id_of(ms, n)
    return string.format('%.0f-%.0f', ms, n)
end

local function is_before(a, b)
    local a_ms, a_n = parts(a)
    local b_ms, b_n = parts(b)
    return a_ms < b_ms or (a_ms == b_ms and a_n < b_n)
end

local function later(a, b)
    return is_before(a, b) and b or a
end

-- By Redis' clock, the only one that all nodes share.
local function now_ms()
    local time = redis.call('TIME')
    return time[1] * 1000 + math.floor(time[2] / 1000)
end

-- The reply to a command that reads 'key'. A value of another type is as good as a deleted one.
local function look(command, key, ...)
    local reply = redis.pcall(command, key, ...)
    if type(reply) ~= 'table' or not reply.err then
        return reply
    end
    if string.find(reply.err, 'WRONGTYPE', 1, true) then
        note = 'deleted the ' .. redis.call('TYPE', key).ok .. ' ' .. key
        redis.call('DEL', key)
    end
    return redis.call(command, key, ...)
end

local function first_id()
    local first = redis.call('XRANGE', INBOX, '-', ID_MAX, 'COUNT', 1)[1]
    return first and is_id(first[1]) and first[1] or NONE
end

local function last_id()
    local last = redis.call('XREVRANGE', INBOX, ID_MAX, '-', 'COUNT', 1)[1]
    return last and is_id(last[1]) and last[1] or NONE
end

-- confirmed: up to here some device has confirmed. trimmed: the last one that was dropped.
-- created: since when this is known. last: the last one that was stored. Besides, is_known: is
-- there anything to know? stored: what stands in the state.
local FIELDS = {'confirmed', 'trimmed', 'created', 'last'}

local function load()
    local stored = look('HMGET', STATE, unpack(FIELDS))
    local inbox = {n = look('XLEN', INBOX), stored = stored}
    for i, field in ipairs(FIELDS) do
        inbox[field] = is_id(stored[i]) and stored[i] or nil
    end
    inbox.is_known = inbox.n > 0 or inbox.last ~= nil
    inbox.confirmed = inbox.confirmed or NONE
    inbox.trimmed = inbox.trimmed or NONE
    if inbox.n > 0 then
        inbox.created = inbox.created or first_id()
        inbox.last = inbox.last or last_id()
    end
    inbox.last = inbox.last or NONE
    if inbox.n == 0 then
        inbox.trimmed = later(inbox.trimmed, inbox.last) -- all of it is gone
    end
    return inbox
end

-- Keys are kept by what is sent, not each time: a part of their life later is soon enough.
local function is_to_keep(inbox, retention_ms, now)
    local last_ms = parts(inbox.stored[4])
    local part_ms = math.max(retention_ms / 16, 1)
    return last_ms == nil or math.floor(last_ms / part_ms) ~= math.floor(now / part_ms)
end

-- Four times as long as a message: who comes back late is told that something is missing.
local function save(inbox, retention_ms, now)
    local changes = {}
    for i, field in ipairs(FIELDS) do
        local id = inbox[field] or NONE
        if inbox.stored[i] ~= id then
            changes[#changes + 1] = field
            changes[#changes + 1] = id
        end
    end
    if #changes > 0 then
        redis.call('HSET', STATE, unpack(changes))
    end
    if is_to_keep(inbox, retention_ms, now) then
        redis.call('PEXPIRE', STATE, string.format('%.0f', retention_ms * 4))
    end
end
