-- ARGV: prefix, milliseconds, limit. Returns how many ids were looked at, and how
-- many records were deleted.
local ids, deleted = lapsed(ARGV[2], ARGV[3]), 0
for _, id in ipairs(ids) do deleted = deleted + forget(id) end
return {#ids, deleted}
