-- Puts the cost of a request in place of what it held.
-- KEYS: one hash for each budget, as in reserve.lua. ARGV: gateway, then for each budget: the hold, until when the
-- cost counts, the cost.
for i = 1, #KEYS do
  local at = 2 + (i - 1) * 3
  if redis.call('EXISTS', KEYS[i]) == 1 then
    if ARGV[at + 2] ~= '0' then
      redis.call('HINCRBY', KEYS[i], 's:' .. ARGV[at + 1], ARGV[at + 2])
    end
    local held = redis.call('HINCRBY', KEYS[i], 'h:' .. ARGV[1], '-' .. ARGV[at])
    if held <= 0 then
      redis.call('HDEL', KEYS[i], 'h:' .. ARGV[1])
    end
  end
end
