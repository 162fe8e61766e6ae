-- What several gateways have used of limits, in the arithmetic of tagway_core::limits::PerMinute, by this server's clock.
-- KEYS[1]: the gateways, by the time they were last heard of. KEYS[2..]: one hash for each meter:
--   r, rl        the state of requests a minute, and the limit that it is told by
--   t, tl        the same of tokens
--   p:<gateway>  calls that a gateway has in progress, or has places for
-- ARGV: gateway, milliseconds after which a silent gateway counts as gone, then for each meter:
--   requests: limit (-1: none), how many to take, how many were let in before without asking, and the least that is
--             known to be used, in microseconds ahead of now
--   tokens:   limit, how many were used, the least that is known to be used
--   calls:    limit, places that the gateway has, places that it wants beside
-- Gives {now, gateways}, and for each meter: requests taken, their state, the state of tokens, places that the gateway
-- has now, places of others.
local MINUTE = 60000000
-- What is later than this is cut: the whole numbers of a double end there.
local END = 9007199254740991

-- a * b / c, rounded down, exactly.
local function times(a, b, c)
  if a * b <= END then
    return (a * b - math.fmod(a * b, c)) / c
  end
  local quotient, rest = 0, 0
  local each, over = (a - math.fmod(a, c)) / c, math.fmod(a, c)
  local bit = 1
  while bit * 2 <= b do
    bit = bit * 2
  end
  while bit >= 1 do
    quotient, rest = quotient * 2, rest * 2
    if rest >= c then
      quotient, rest = quotient + 1, rest - c
    end
    if b >= bit then
      b = b - bit
      quotient, rest = quotient + each, rest + over
      if rest >= c then
        quotient, rest = quotient + 1, rest - c
      end
    end
    bit = bit / 2
  end
  return math.min(quotient, END)
end

local function charge(limit, state, units, now)
  local cost = limit == 0 and 2 * MINUTE or times(units, MINUTE, limit)
  return math.min(math.max(state, now) + cost, END)
end

local function left(limit, state, now)
  return times(math.max(now + MINUTE - math.max(state, now), 0), limit, MINUTE)
end

local function after(limit, before, state, now)
  return limit == 0 and now or math.min(now + times(math.max(state - now, 0), before, limit), END)
end

local function take_some(limit, state, wanted, now)
  local units = math.min(wanted, math.max(left(limit, state, now), 1))
  local taken = charge(limit, state, units, now)
  if taken > now + MINUTE then
    return 0, state
  end
  return units, taken
end

-- The state of a limit, with what was not told before.
local function state_of(fields, name, limit, owed, known, now)
  local state, before = tonumber(fields[name] or '0'), tonumber(fields[name .. 'l'] or '-1')
  if before >= 0 and before ~= limit then
    state = after(limit, before, state, now)
  end
  if known > 0 then
    state = math.max(state, now + known)
  end
  if owed > 0 then
    state = charge(limit, state, owed, now)
  end
  return state
end

local function text(number)
  return string.format('%.0f', number)
end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local millis = math.floor(now / 1000)
local gateway, gone_after = ARGV[1], tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], text(millis), gateway)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(millis - gone_after))
redis.call('PEXPIRE', KEYS[1], 86400000)
local answer = {now, redis.call('ZCARD', KEYS[1])}
local lives = {}
for i = 2, #KEYS do
  local at = 3 + (i - 2) * 10
  local function arg(n)
    return tonumber(ARGV[at + n])
  end
  local fields = {}
  local pairs_of = redis.call('HGETALL', KEYS[i])
  for f = 1, #pairs_of, 2 do
    fields[pairs_of[f]] = pairs_of[f + 1]
  end
  local taken, requests, tokens, places, others = 0, 0, 0, 0, 0
  if arg(0) >= 0 then
    requests = state_of(fields, 'r', arg(0), arg(2), arg(3), now)
    if arg(1) > 0 then
      taken, requests = take_some(arg(0), requests, arg(1), now)
    end
    redis.call('HSET', KEYS[i], 'r', text(requests), 'rl', ARGV[at])
  end
  if arg(4) >= 0 then
    tokens = state_of(fields, 't', arg(4), arg(5), arg(6), now)
    redis.call('HSET', KEYS[i], 't', text(tokens), 'tl', ARGV[at + 4])
  end
  if arg(7) >= 0 then
    for name, count in pairs(fields) do
      local id = string.sub(name, 3)
      if string.sub(name, 1, 2) == 'p:' and id ~= gateway then
        if lives[id] == nil then
          lives[id] = redis.call('ZSCORE', KEYS[1], id) and true or false
        end
        if lives[id] then
          others = others + tonumber(count)
        else
          redis.call('HDEL', KEYS[i], name)
        end
      end
    end
    -- What is in progress is so, whatever the limit says.
    places = math.max(arg(8), math.min(arg(8) + arg(9), arg(7) - others))
    if places > 0 then
      redis.call('HSET', KEYS[i], 'p:' .. gateway, text(places))
    else
      redis.call('HDEL', KEYS[i], 'p:' .. gateway)
    end
  end
  -- Kept while it says anything, and some time longer.
  local ahead = math.max(requests, tokens, now) - now
  redis.call('PEXPIRE', KEYS[i], text(math.min(600000 + math.floor(ahead / 1000), 2592000000)))
  for _, number in ipairs({taken, requests, tokens, places, others}) do
    answer[#answer + 1] = number
  end
end
return answer
