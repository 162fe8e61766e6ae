-- What several gateways have used of limits, in the arithmetic of tagway_core::limits, by this server's clock.
-- KEYS[1]: the gateways, by the time they were last heard of. KEYS[2..]: one hash for each meter:
--   r, t         what was used of requests and tokens: when this minute began, units of the one before, units of it
--   p:<gateway>  calls that a gateway has in progress, or has places for
-- ARGV: gateway, milliseconds after which a silent gateway counts as gone, then for each meter:
--   requests: limit (-1: none), how many to take, how many were let in before without asking, and what is known to be
--             used at least: the age of its minute, units of the one before, units of it
--   tokens:   limit, how many were used, and the same three of what is known
--   calls:    limit, places that the gateway has, places that it wants beside
-- Gives the number of gateways, and for each meter: requests taken, the three numbers of requests and of tokens (with
-- ages), places that the gateway has now, places of others.
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

-- A window at a time: minutes that have passed are over.
local function at(window, now)
  local begun, before, count = window[1], window[2], window[3]
  local age = math.max(now - begun, 0)
  if age >= 2 * MINUTE then
    before, count = 0, 0
  elseif age >= MINUTE then
    begun, before, count = begun + MINUTE, count, 0
  end
  if before == 0 and count == 0 then
    begun = now
  end
  return {begun, before, count}
end

local function used(window, now)
  local rolled = at(window, now)
  local age = math.max(now - rolled[1], 0)
  return rolled[3] + rolled[2] - math.min(times(rolled[2], age, MINUTE), rolled[2])
end

local function charge(window, units, now)
  local rolled = at(window, now)
  return {rolled[1], rolled[2], math.min(rolled[3] + units, END)}
end

local function take_some(limit, window, wanted, now)
  local units = math.min(wanted, math.max(limit - used(window, now), 0))
  if units == 0 then
    return 0, window
  end
  return units, charge(window, units, now)
end

local function text(number)
  return string.format('%.0f', number)
end

-- What was used of a limit, with what was not told before, and no less than is known.
local function window_of(field, owed, known, now)
  local begun, before, count = string.match(field or '0 0 0', '^(%d+) (%d+) (%d+)$')
  local window = {tonumber(begun), tonumber(before), tonumber(count)}
  if used(known, now) > used(window, now) then
    window = known
  end
  if owed > 0 then
    window = charge(window, owed, now)
  end
  return at(window, now)
end

local clock = redis.call('TIME')
local now = clock[1] * 1000000 + clock[2]
local millis = math.floor(now / 1000)
local gateway, gone_after = ARGV[1], tonumber(ARGV[2])
redis.call('ZADD', KEYS[1], text(millis), gateway)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', text(millis - gone_after))
redis.call('PEXPIRE', KEYS[1], 86400000)
local answer = {redis.call('ZCARD', KEYS[1])}
local lives = {}
for i = 2, #KEYS do
  local first = 3 + (i - 2) * 14
  local function arg(n)
    return tonumber(ARGV[first + n])
  end
  local fields = {}
  local pairs_of = redis.call('HGETALL', KEYS[i])
  for f = 1, #pairs_of, 2 do
    fields[pairs_of[f]] = pairs_of[f + 1]
  end
  local function known(n)
    return {now - arg(n), arg(n + 1), arg(n + 2)}
  end
  local function written(window)
    return text(window[1]) .. ' ' .. text(window[2]) .. ' ' .. text(window[3])
  end
  local taken, requests, tokens, places, others = 0, {now, 0, 0}, {now, 0, 0}, 0, 0
  if arg(0) >= 0 then
    requests = window_of(fields['r'], arg(2), known(3), now)
    if arg(1) > 0 then
      taken, requests = take_some(arg(0), requests, arg(1), now)
    end
    redis.call('HSET', KEYS[i], 'r', written(requests))
  end
  if arg(6) >= 0 then
    tokens = window_of(fields['t'], arg(7), known(8), now)
    redis.call('HSET', KEYS[i], 't', written(tokens))
  end
  if arg(11) >= 0 then
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
    places = math.max(arg(12), math.min(arg(12) + arg(13), arg(11) - others))
    if places > 0 then
      redis.call('HSET', KEYS[i], 'p:' .. gateway, text(places))
    else
      redis.call('HDEL', KEYS[i], 'p:' .. gateway)
    end
  end
  -- Kept as long as it says anything, and some time longer.
  redis.call('PEXPIRE', KEYS[i], 600000)
  local numbers = {taken, now - requests[1], requests[2], requests[3], now - tokens[1], tokens[2], tokens[3]}
  numbers[#numbers + 1] = places
  numbers[#numbers + 1] = others
  for _, number in ipairs(numbers) do
    answer[#answer + 1] = number
  end
end
return answer
