-- ARGV: prefix, ids. Returns the records and their ancestors.
local seen, found = {}, {}
for i = 2, #ARGV do
	local id = ARGV[i]
	while id and id ~= '' and not seen[id] do
		seen[id] = true
		local row = read(id)
		if row then found[#found + 1] = row end
		id = row and row[3]
	end
end
return found
