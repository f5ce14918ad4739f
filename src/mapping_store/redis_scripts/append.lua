-- Store a message: [HIST-1]. What append_usual.lua has not done.
-- KEYS[3]: the set of the uid's fds. KEYS[4], if the message has a cid: what was stored by it.
-- ARGV: from, body, messages_max, retention_ms, for how many ms a cid is known, 1 if the members
-- of the set are wanted, until when anybody waits for the answer.
-- Returns what became of it, its id, the id before it, a note, the members.
local SET, CID = KEYS[3], KEYS[4]
local FROM, BODY, RETENTION_MS = ARGV[1], ARGV[2], tonumber(ARGV[4])
local STORED, DUPLICATE, FULL, LATE = 0, 1, 2, 3
local DAY_MS = 86400000

local now = now_ms()
if now > tonumber(ARGV[7]) then
    return {LATE, NONE, NONE, note, {}} -- [REPLY-8] nothing is done later
end
local inbox = load()

-- [HIST-17] The oldest goes if it is confirmed or too old, and no other.
local function make_room(messages_max)
    for _ = 1, DROPS_MAX do
        if inbox.n < messages_max then
            return true
        end
        local first = redis.call('XRANGE', INBOX, '-', '+', 'COUNT', 1)[1][1]
        if is_id(first) then
            local is_old = parts(first) < now - RETENTION_MS
            if not is_old and is_before(inbox.confirmed, first) then
                return false
            end
            inbox.trimmed = later(inbox.trimmed, first)
            save(inbox, RETENTION_MS, now)
        end
        redis.call('XDEL', INBOX, first)
        inbox.n = inbox.n - 1
    end
    return true
end

-- After the last one, also when the clock was put back ([HIST-4]).
local function next_id()
    local ms, n = parts(inbox.last)
    if ms < now then
        return id_of(now, 0)
    end
    return n < NUMBER_MAX and id_of(ms, n + 1) or id_of(ms + 1, 0)
end

-- Nobody sends so much that the last millisecond is half used: an id behind that was made up, and
-- what follows it would have no id.
local function leaves_room(id)
    local ms, n = parts(id)
    return is_id(id) and (ms < MS_MAX or n < NUMBER_MAX / 2)
end

-- Returns the last id that is one, and leaves room.
local function remove_impossible()
    note = 'removed what has an impossible id from ' .. INBOX
    while true do
        local entries = redis.call('XREVRANGE', INBOX, '+', '-', 'COUNT', 100)
        for _, entry in ipairs(entries) do
            if leaves_room(entry[1]) then
                return entry[1]
            end
            redis.call('XDEL', INBOX, entry[1])
        end
        if #entries == 0 then
            return NONE
        end
    end
end

-- The stream is ahead of its state. If by an id that is none of ours, that goes.
local function catch_up()
    local info = redis.call('XINFO', 'STREAM', INBOX)
    for i = 1, #info, 2 do
        if info[i] == 'last-generated-id' and leaves_room(info[i + 1]) then
            inbox.last = info[i + 1]
            return
        end
    end
    inbox.last = later(inbox.last, remove_impossible())
    redis.call('XSETID', INBOX, inbox.last)
end

-- Redis says so in two ways, the other one if there is no larger id at all.
local function is_behind(reply)
    return type(reply) == 'table' and (string.find(reply.err, 'smaller', 1, true) or
        string.find(reply.err, 'exhausted', 1, true))
end

local function append()
    if not leaves_room(inbox.last) then
        inbox.last = remove_impossible()
    end
    local reply = redis.pcall('XADD', INBOX, next_id(), 'from', FROM, 'body', BODY)
    if is_behind(reply) then
        catch_up()
        reply = redis.call('XADD', INBOX, next_id(), 'from', FROM, 'body', BODY)
    end
    return reply
end

local members = {}
if ARGV[6] == '1' then
    members = look('SMEMBERS', SET)
end
-- [HIST-18] Is this, which stands in the cid's key, the id of a message of FROM? Of one that was
-- dropped meanwhile that cannot be seen any more.
local function is_retry(id)
    if not id or not is_id(id) or is_before(inbox.last, id) or
        parts(id) + tonumber(ARGV[5]) < now then -- the last: somebody keeps the key for longer
        return false
    end
    if not is_before(inbox.trimmed, id) then
        return true
    end
    local stored = redis.call('XRANGE', INBOX, id, id)[1]
    return stored ~= nil and stored[2][2] == FROM
end

local first = CID and look('GET', CID)
if first and is_retry(first) then
    return {DUPLICATE, first, NONE, note, members}
end
if not make_room(tonumber(ARGV[3])) then
    return {FULL, NONE, NONE, note, members} -- [HIST-16]
end
inbox.created = inbox.created or id_of(now, 0)
local id = append()
if type(id) == 'table' then
    return id -- an error: nothing is stored
end
local previous = inbox.last
inbox.last = id
save(inbox, RETENTION_MS, now)
if inbox.n == 0 or is_to_keep(inbox, RETENTION_MS, now) then
    redis.call('PEXPIRE', INBOX, string.format('%.0f', RETENTION_MS + DAY_MS))
end
if CID then
    redis.call('SET', CID, id, 'PX', ARGV[5])
end
return {STORED, id, previous, note, members}
