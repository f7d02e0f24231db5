-- ARGV: prefix, milliseconds that challenges are kept after they expired, and for
-- each change: the version it is based on ('0' inserts), 'put' or 'delete', the columns.
-- Returns the id of a change that is based on another version, or ''.
local keep, width = tonumber(ARGV[2]), 2 + #columns
redis.call('ZCARD', prefix .. 'expires')
for i = 3, #ARGV, width do
	local old = redis.call('HMGET', prefix .. 'r:' .. ARGV[i + 2], 'version', 'kind', 'user_id')
	local have = old[1] or '0'
	if have ~= ARGV[i] or have == '0' and ARGV[i + 1] == 'delete' then return ARGV[i + 2] end
	-- An index that somebody made into something else fails here, and not half way.
	for _, of in ipairs({{old[2], old[3]}, {ARGV[i + 3], ARGV[i + 5]}}) do
		redis.call('ZCARD', prefix .. 'k:' .. (of[1] or 'challenge'))
		redis.call('ZCARD', prefix .. 'u:' .. (of[1] or '') .. ':' .. (of[2] or ''))
	end
end
-- From here on nothing fails: what would refuse a write has refused the script.
for i = 3, #ARGV, width do
	local row = {unpack(ARGV, i + 2, i + width - 1)}
	local id, kind, user, created, updated, expires = row[1], row[2], row[4], row[7], row[8], row[9]
	if ARGV[i] ~= '0' then forget(id) end
	if ARGV[i + 1] == 'put' then
		local key, fields = prefix .. 'r:' .. id, {}
		for j, column in ipairs(columns) do
			fields[2 * j - 1], fields[2 * j] = column, row[j]
		end
		redis.call('HSET', key, unpack(fields))
		redis.call('ZADD', prefix .. 'k:' .. kind, 0, id)
		if user ~= '' then redis.call('ZADD', prefix .. 'u:' .. kind .. ':' .. user, 0, id) end
		if expires ~= '' then
			redis.call('ZADD', prefix .. 'expires', expires, id)
			if kind == 'challenge' and user == '' and updated ~= '' then
				redis.call('PEXPIRE', key, string.format('%.0f', math.max(tonumber(expires) - tonumber(updated), 0) + keep))
			end
		end
		if ARGV[i] == '0' and created ~= '' then
			for _, old in ipairs(lapsed(string.format('%.0f', tonumber(created) - keep), 2)) do forget(old) end
		end
	end
end
return ''
