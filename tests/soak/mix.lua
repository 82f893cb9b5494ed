-- What clients of a small service ask for, in turn.
local requests = {}
local function add(times, method, path, headers, body)
  for _ = 1, times do
    requests[#requests + 1] = wrk.format(method, path, headers, body)
  end
end

init = function()
  local browser = {
    ["User-Agent"] = "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/130.0",
    ["Accept"] = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8",
    ["Accept-Language"] = "en-US,en;q=0.5",
    ["Accept-Encoding"] = "gzip, deflate, br",
    ["Cookie"] = "session=" .. string.rep("x", 120),
  }
  add(8, "GET", "/user/bob", browser)
  add(4, "GET", "/json", browser)
  add(2, "POST", "/echo", { ["Content-Type"] = "application/json" }, string.rep("x", 1024))
  add(1, "POST", "/count", {}, string.rep("x", 100000))
  add(1, "POST", "/ignore", {}, string.rep("x", 1000))
  add(1, "GET", "/chunks/100000", browser)
  add(1, "GET", "/large/100000", browser)
  add(1, "GET", "/wait/2", browser)
end

local at = 0
request = function()
  at = at % #requests + 1
  return requests[at]
end
