-- Takes over what the store knows to be spent, where that is more than is known here.
-- KEYS[1]: a budget's hash, as in reserve.lua. ARGV: until and amount, in turn.
redis.call('HSETNX', KEYS[1], 's:' .. ARGV[1], '0')
for at = 1, #ARGV, 2 do
  local known = redis.call('HGET', KEYS[1], 's:' .. ARGV[at])
  if not known or tonumber(known) < tonumber(ARGV[at + 1]) then
    redis.call('HSET', KEYS[1], 's:' .. ARGV[at], ARGV[at + 1])
  end
end
redis.call('PEXPIRE', KEYS[1], 86400000)
