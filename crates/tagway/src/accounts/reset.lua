-- Takes over what an admin says was spent.
-- KEYS[1]: a budget's hash, as in reserve.lua. ARGV: until and amount, in turn.
for _, name in ipairs(redis.call('HKEYS', KEYS[1])) do
  if string.sub(name, 1, 2) == 's:' then
    redis.call('HDEL', KEYS[1], name)
  end
end
for at = 1, #ARGV, 2 do
  redis.call('HSET', KEYS[1], 's:' .. ARGV[at], ARGV[at + 1])
end
redis.call('PEXPIRE', KEYS[1], 86400000)
