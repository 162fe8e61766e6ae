-- Posts one body with as many keys in turn as KEYS says; 0 stands for the master key.
local file = assert(io.open(os.getenv("BODY")))
local body = file:read("*a")
file:close()
local keys = tonumber(os.getenv("KEYS"))
local at = 0

request = function()
  local key = os.getenv("KEY")
  if 0 < keys then
    key = string.format("sk-bench-%012d", at)
    at = (at + 1) % keys
  end
  local headers = { ["Content-Type"] = "application/json", ["Authorization"] = "Bearer " .. key, ["x-litellm-tags"] = "eu,team-a" }
  return wrk.format("POST", nil, headers, body)
end

done = function(summary, latency)
  local failed = summary.errors.connect + summary.errors.read + summary.errors.write + summary.errors.status + summary.errors.timeout
  print(string.format("result %d %d %d %d %d", summary.requests, summary.duration, failed, latency:percentile(50), latency:percentile(99)))
end
