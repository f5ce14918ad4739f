-- What each inbox script begins with: the inbox of one uid, as far as it is known.
-- KEYS[1]: the stream of messages. KEYS[2]: its state, a hash of ids.
--
-- The stream may have been deleted or be an older one, the state as well, and either may be
-- garbage: then what is left decides, and what may be missing counts as dropped.
local INBOX, STATE = KEYS[1], KEYS[2]
local NUMBER_MAX = 9007199254740991
-- An id of a message is before the year 100000: larger ones, which leave no room for those that
-- follow, are garbage, and of no message of ours.
local MS_MAX = 4000000000000000
local NONE, ID_MAX = '0-0', id_of(MS_MAX, NUMBER_MAX)
local DROPS_MAX = 100 -- messages that one send drops, if the limit was lowered
local note = '' -- what was put right, for the log

local function is_id(id)
    local ms = parts(id)
    return ms ~= nil and ms <= MS_MAX
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

-- What comes after the last one that is an id is not looked for far: it is removed by a send.
local function last_id()
    for _, entry in ipairs(redis.call('XREVRANGE', INBOX, ID_MAX, '-', 'COUNT', 100)) do
        if is_id(entry[1]) then
            return entry[1]
        end
    end
    return NONE
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
    if not inbox.last then
        inbox.last = later(later(inbox.confirmed, inbox.trimmed), inbox.n > 0 and last_id() or NONE)
    end
    for _, field in ipairs({'confirmed', 'trimmed', 'created'}) do
        if inbox[field] and is_before(inbox.last, inbox[field]) then
            -- Nobody has been sent that yet.
            inbox[field] = field ~= 'created' and NONE or nil
            inbox.is_wrong = true
        end
    end
    if inbox.n > 0 then
        inbox.created = inbox.created or first_id()
    end
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
