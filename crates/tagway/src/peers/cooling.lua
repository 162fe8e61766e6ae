-- Which deployments are out of service, for gateways that start.
-- KEYS[1]: a hash of deployments' ids: until when (milliseconds since 1970), and 1 behind a blank if it is but slow.
-- ARGV: for each deployment whose state has changed: id, milliseconds that it is out of service yet (0: it is back), 1
-- if it is but slow.
-- Gives all that are out of service, in the same form.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
for at = 1, #ARGV, 3 do
  if ARGV[at + 1] == '0' then
    redis.call('HDEL', KEYS[1], ARGV[at])
  else
    local till = string.format('%.0f', now + ARGV[at + 1])
    redis.call('HSET', KEYS[1], ARGV[at], till .. ' ' .. ARGV[at + 2])
  end
end
local all = redis.call('HGETALL', KEYS[1])
local out = {}
for f = 1, #all, 2 do
  local till, slow = string.match(all[f + 1], '(%d+) (%d)')
  if till and tonumber(till) > now then
    out[#out + 1] = all[f]
    out[#out + 1] = string.format('%.0f', tonumber(till) - now)
    out[#out + 1] = slow
  else
    redis.call('HDEL', KEYS[1], all[f])
  end
end
redis.call('PEXPIRE', KEYS[1], 86400000)
return out
