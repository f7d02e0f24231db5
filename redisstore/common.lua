-- What the scripts share. Keys, after the prefix of the store:
--   r:<id>            hash    a record, a field for each column
--   k:<kind>          zset    the ids of a kind, in order
--   u:<kind>:<user>   zset    the ids of a user, in order
--   expires           zset    the ids of what expires, by milliseconds
local prefix = ARGV[1]
local columns = {'id', 'kind', 'parent', 'user_id', 'type', 'status', 'created_at', 'updated_at', 'expires_at', 'version', 'state'}

-- read returns the columns of a record, or nil if it is not there. One that lost a
-- column is returned all the same: the caller refuses it.
local function read(id)
	local row = redis.call('HMGET', prefix .. 'r:' .. id, unpack(columns))
	for i = 1, #columns do
		if row[i] then return row end
	end
end

-- forget deletes a record and says whether it was there. One that vanished by itself
-- was a challenge without a user.
local function forget(id)
	local row = redis.call('HMGET', prefix .. 'r:' .. id, 'kind', 'user_id')
	local kind, user = row[1] or 'challenge', row[2] or ''
	redis.call('ZREM', prefix .. 'k:' .. kind, id)
	if user ~= '' then redis.call('ZREM', prefix .. 'u:' .. kind .. ':' .. user, id) end
	redis.call('ZREM', prefix .. 'expires', id)
	return redis.call('DEL', prefix .. 'r:' .. id)
end

-- lapsed returns some ids of records that expired before a time.
local function lapsed(before, limit)
	return redis.call('ZRANGEBYSCORE', prefix .. 'expires', '-inf', '(' .. before, 'LIMIT', 0, limit)
end
