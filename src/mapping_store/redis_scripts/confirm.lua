-- [HIST-13] Every message up to an id is confirmed. ARGV: the id, retention_ms. Returns a note.
local inbox = load()
local id = is_before(inbox.last, ARGV[1]) and inbox.last or ARGV[1]
if is_before(inbox.confirmed, id) then
    inbox.confirmed = id
    save(inbox, tonumber(ARGV[2]), now_ms())
end
return note
