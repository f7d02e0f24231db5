-- ARGV: prefix, kind, user, after, limit. Returns records in order of id.
local kind, user, after, limit = ARGV[2], ARGV[3], ARGV[4], tonumber(ARGV[5])
local index = prefix .. 'k:' .. kind
if user ~= '' then index = prefix .. 'u:' .. kind .. ':' .. user end
local found, from = {}, '-'
if after ~= '' then from = '(' .. after end
while #found < limit do
	local ids = redis.call('ZRANGEBYLEX', index, from, '+', 'LIMIT', 0, limit)
	for _, id in ipairs(ids) do
		local row = read(id)
		if row and row[2] == kind and (user == '' or row[4] == user) and #found < limit then found[#found + 1] = row end
		from = '(' .. id
	end
	if #ids < limit then break end
end
return found
