-- ARGV: prefix. Runs each command of the other scripts on a key of its own and returns
-- the error of the first that fails, or ''. A script that fails half way is not undone,
-- so none may meet a command there that it is not permitted to run.
local key = prefix .. 'permitted'
local calls = {
	{'DEL', key}, -- first, so that nothing is left behind
	{'HSET', key, 'field', ''}, {'HMGET', key, 'field'}, {'PEXPIRE', key, 1000}, {'DEL', key},
	{'ZADD', key, 0, 'id'}, {'ZCARD', key}, {'ZRANGEBYLEX', key, '-', '+'}, {'ZRANGEBYSCORE', key, '-inf', '+inf'}, {'ZREM', key, 'id'}, {'DEL', key},
}
for i, call in ipairs(calls) do
	local reply = redis.pcall(unpack(call))
	if type(reply) == 'table' and reply.err then
		if i > 1 then redis.pcall('DEL', key) end
		return call[1] .. ': ' .. reply.err
	end
end
return ''
