-- A page of the messages behind an id.
-- ARGV: the id, empty for what is confirmed; retention_ms; how many messages, and how many bytes
-- of bodies, are a page.
-- Returns where the page begins, the last id, what is missing, a note, the messages: for each its
-- id, from and body.
local RETENTION_MS, MESSAGES_MAX, SIZE_MAX = tonumber(ARGV[2]), tonumber(ARGV[3]), tonumber(ARGV[4])

local inbox = load()
local after = ARGV[1] ~= '' and ARGV[1] or inbox.confirmed

-- [HIST-15]
local function drop_old()
    local now = now_ms()
    local limit = id_of(math.max(now - RETENTION_MS, 1), 0)
    local old = redis.call('XREVRANGE', INBOX, '(' .. limit, '-', 'COUNT', 1)[1]
    if not old then
        return
    end
    if is_id(old[1]) then
        inbox.trimmed = later(inbox.trimmed, old[1])
    end
    save(inbox, RETENTION_MS, now) -- first: if it is refused, so is the rest
    redis.call('XTRIM', INBOX, 'MINID', limit)
end

-- [HIST-10] What is not known may be missing.
local NOTHING, PERHAPS, SOMETHING = 0, 1, 2
local function missing()
    if is_before(after, inbox.trimmed) then
        return SOMETHING
    end
    if ARGV[1] == '' or after == NONE then
        return NOTHING
    end
    local is_older = inbox.created ~= nil and is_before(after, inbox.created)
    return (is_older or not inbox.is_known) and PERHAPS or NOTHING
end

local function is_message(entry)
    local fields = entry[2]
    return is_id(entry[1]) and #fields == 4 and fields[1] == 'from' and fields[3] == 'body'
end

local function read()
    local page, size, behind = {}, 0, after
    while #page < MESSAGES_MAX do
        local wanted = MESSAGES_MAX - #page
        local entries = redis.call('XRANGE', INBOX, '(' .. behind, ID_MAX, 'COUNT', wanted)
        for _, entry in ipairs(entries) do
            behind = entry[1]
            if is_message(entry) then
                size = size + #entry[2][4]
                if #page > 0 and size > SIZE_MAX then
                    return page
                end
                page[#page + 1] = {entry[1], entry[2][2], entry[2][4]}
            else
                redis.call('XDEL', INBOX, behind)
                note = 'removed what is no message from ' .. INBOX
            end
        end
        if #entries < wanted then
            break
        end
    end
    return page
end

if inbox.is_wrong then
    save(inbox, RETENTION_MS, now_ms()) -- before that could become right
end
if inbox.n > 0 then
    drop_old()
end
local page = read()
return {after, inbox.last, missing(), note, page}
