-- What several gateways have used of limits, in the arithmetic of tagway_core::limits, by this server's clock.
-- KEYS[1]: the gateways, by the time they were last heard of. KEYS[2..]: one hash for each meter:
--   r, t         what was used of requests and tokens: when the newest part of the minute began, and units by part
--   p:<gateway>  calls that a gateway has in progress, or has places for
-- ARGV: gateway, milliseconds after which a silent gateway counts as gone, then for each meter:
--   requests: limit (-1: none), how many to take, how many were let in before without asking, and what is known to be
--             used at least: the age of the newest part, and units by part
--   tokens:   limit, how many were used, and what is known in the same way
--   calls:    limit, places that the gateway has, places that it wants beside
-- Gives the number of gateways, and for each meter: requests taken, what was used of requests and of tokens in the same
-- way, places that the gateway has now, places of others.
local SLOTS = 12
local SLOT = 5000000
-- What is later than this is cut: the whole numbers of a double end there.
local END = 9007199254740991

-- A window is when its newest part began, and units by part, the newest first. At a time: what is a minute old is gone.
local function at(window, now)
  local steps = math.floor(math.max(now - window.begun, 0) / SLOT)
  local next = {begun = window.begun + steps * SLOT}
  local none = true
  for i = 1, SLOTS do
    next[i] = window[i - steps] or 0
    none = none and next[i] == 0
  end
  if none then
    next.begun = now
  end
  return next
end

local function used(window, now)
  local rolled, sum = at(window, now), 0
  for i = 1, SLOTS do
    sum = math.min(sum + rolled[i], END)
  end
  return sum
end

local function charge(window, units, now)
  local rolled = at(window, now)
  rolled[1] = math.min(rolled[1] + units, END)
  return rolled
end

local function take_some(limit, window, wanted, now)
  local units = math.min(wanted, math.max(limit - used(window, now), 0))
  if units == 0 then
    return 0, window
  end
  return units, charge(window, units, now)
end

local function whole(number)
  return string.format('%.0f', number)
end

local function text(window)
  local numbers = {string.format('%.0f', window.begun)}
  for i = 1, SLOTS do
    numbers[i + 1] = string.format('%.0f', window[i])
  end
  return table.concat(numbers, ' ')
end

-- What was used of a limit, with what was not told before, and no less than is known.
local function window_of(field, owed, known, now)
  local window = {begun = now}
  if field then
    local i = 0
    for number in string.gmatch(field, '%d+') do
      window[i == 0 and 'begun' or i] = tonumber(number)
      i = i + 1
    end
  end
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
redis.call('ZADD', KEYS[1], whole(millis), gateway)
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', whole(millis - gone_after))
redis.call('PEXPIRE', KEYS[1], 86400000)
local answer = {redis.call('ZCARD', KEYS[1])}
local lives = {}
for i = 2, #KEYS do
  local first = 3 + (i - 2) * (8 + 2 * (1 + SLOTS))
  local function arg(n)
    return tonumber(ARGV[first + n])
  end
  local fields = {}
  local pairs_of = redis.call('HGETALL', KEYS[i])
  for f = 1, #pairs_of, 2 do
    fields[pairs_of[f]] = pairs_of[f + 1]
  end
  local function known(n)
    local window = {begun = now - arg(n)}
    for slot = 1, SLOTS do
      window[slot] = arg(n + slot)
    end
    return window
  end
  local taken, places, others = 0, 0, 0
  local requests, tokens = at({begun = now}, now), at({begun = now}, now)
  local of_tokens = 4 + SLOTS
  local of_calls = of_tokens + 3 + SLOTS
  if arg(0) >= 0 then
    requests = window_of(fields['r'], arg(2), known(3), now)
    if arg(1) > 0 then
      taken, requests = take_some(arg(0), requests, arg(1), now)
    end
    redis.call('HSET', KEYS[i], 'r', text(requests))
  end
  if arg(of_tokens) >= 0 then
    tokens = window_of(fields['t'], arg(of_tokens + 1), known(of_tokens + 2), now)
    redis.call('HSET', KEYS[i], 't', text(tokens))
  end
  if arg(of_calls) >= 0 then
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
    local own, more = arg(of_calls + 1), arg(of_calls + 2)
    places = math.max(own, math.min(own + more, arg(of_calls) - others))
    if places > 0 then
      redis.call('HSET', KEYS[i], 'p:' .. gateway, whole(places))
    else
      redis.call('HDEL', KEYS[i], 'p:' .. gateway)
    end
  end
  -- Kept as long as it says anything, and some time longer.
  redis.call('PEXPIRE', KEYS[i], 600000)
  answer[#answer + 1] = taken
  for _, window in ipairs({requests, tokens}) do
    answer[#answer + 1] = now - window.begun
    for slot = 1, SLOTS do
      answer[#answer + 1] = window[slot]
    end
  end
  answer[#answer + 1] = places
  answer[#answer + 1] = others
end
return answer
