-- Lets a request hold parts of budgets, of all of them or of none.
-- KEYS[1]: the gateways, by the time they were last heard of. KEYS[2..]: one hash for each budget:
--   s:<until>    what was spent and counts until then (milliseconds since 1970)
--   h:<gateway>  what the requests in progress on a gateway hold
-- ARGV: gateway, milliseconds after which a silent gateway counts as gone, then for each budget: the most that may be
-- spent (-1: anything), whether the hold must fit as well (1), the hold.
-- Gives {0, spent on each} when all hold; {n, spent, spent or held} when budget n does not let it in, by the rule of
-- tagway_core::budget::admits; {-1} when one is not known here.
local clock = redis.call('TIME')
local now = clock[1] * 1000 + math.floor(clock[2] / 1000)
redis.call('ZADD', KEYS[1], string.format('%.0f', now), ARGV[1])
if #KEYS == 1 then
  redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', string.format('%.0f', now - 86400000))
end
local lives = {}
local answer = {0}
for i = 2, #KEYS do
  local at = 3 + (i - 2) * 3
  local most, strict, hold = tonumber(ARGV[at]), ARGV[at + 1] == '1', tonumber(ARGV[at + 2])
  local fields = redis.call('HGETALL', KEYS[i])
  if #fields == 0 then
    return {-1}
  end
  local spent, held = 0, 0
  for f = 1, #fields, 2 do
    local name, amount = fields[f], tonumber(fields[f + 1])
    local id = string.sub(name, 3)
    if string.sub(name, 1, 2) == 's:' then
      if tonumber(id) > now then
        spent = spent + amount
      else
        redis.call('HDEL', KEYS[i], name)
      end
    elseif string.sub(name, 1, 2) == 'h:' then
      if lives[id] == nil then
        local heard = redis.call('ZSCORE', KEYS[1], id)
        lives[id] = heard and tonumber(heard) + tonumber(ARGV[2]) > now
      end
      if lives[id] then
        held = held + amount
      else
        redis.call('HDEL', KEYS[i], name)
      end
    end
  end
  local used = spent + held
  local lets = most < 0 or used < most and (not strict or used + hold <= most)
  if not lets then
    return {i - 1, string.format('%.0f', spent), string.format('%.0f', used)}
  end
  answer[i] = string.format('%.0f', spent)
end
for i = 2, #KEYS do
  redis.call('HINCRBY', KEYS[i], 'h:' .. ARGV[1], ARGV[3 + (i - 2) * 3 + 2])
  redis.call('PEXPIRE', KEYS[i], 86400000)
end
return answer
