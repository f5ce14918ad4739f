-- What an id is, for every script that reads one: "<ms>-<n>", two decimal integers from 0 to 2^53-1
-- without leading zeros (SPEC.md, section 7). message_id.c reads them alike.
local function number_of_id(digits)
    if #digits > 16 or (#digits > 1 and string.byte(digits) == 48) then
        return nil
    end
    local number = tonumber(digits)
    return number <= 9007199254740991 and number or nil
end

-- Its two numbers. Nil if it is none: Redis has larger ones, but the protocol has not.
local function parts(id)
    local ms, n = string.match(id or '', '^(%d+)%-(%d+)$')
    ms, n = ms and number_of_id(ms), n and number_of_id(n)
    if not ms or not n then
        return nil
    end
    return ms, n
end

local function id_of(ms, n)
    return string.format('%.0f-%.0f', ms, n)
end
