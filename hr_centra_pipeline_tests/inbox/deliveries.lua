-- wrk's side of `make inbox`: each thread has one connection and a file of signed requests of its own, sends them one after
-- another at its pace, and writes a line per answer: which status, after how many microseconds, which delivery.
local ffi = require("ffi")
ffi.cdef [[
   typedef struct { long seconds; long nanoseconds; } instant;
   int clock_gettime(int clock, instant *now);
]]

local now_buffer = ffi.new("instant")
local function now()
   ffi.C.clock_gettime(1, now_buffer)
   return tonumber(now_buffer.seconds) * 1e6 + tonumber(now_buffer.nanoseconds) / 1e3
end

local threads = 0

function setup(thread)
   thread:set("number", threads)
   threads = threads + 1
end

function init(args)
   local folder, per_second = args[1], tonumber(args[2])
   requests = {}
   local file = assert(io.open(string.format("%s/requests-%d", folder, number), "rb"))
   while true do
      local size = file:read(8)
      if size == nil then break end
      requests[#requests + 1] = file:read(tonumber(size))
   end
   file:close()
   log = assert(io.open(string.format("%s/answers-%d", folder, number), "a"))
   log:setvbuf("line")
   interval = 1e6 / per_second
   due = now() + math.random() * interval
   at = number == 0 and -1 or 0 -- wrk asks the first thread for a request once, to look at it
end

function delay()
   if at >= #requests then return 3600000 end
   local wait = due - now()
   due = due + interval
   return wait > 0 and math.floor(wait / 1e3) or 0
end

function request()
   at = at + 1
   began = now()
   return requests[math.max(at, 1)] or requests[#requests]
end

-- After a connection was cut, wrk may have two requests on the next one: the id in the answer says which delivery it is about.
function response(status, headers, body)
   log:write(string.format("%d %d %s\n", status, now() - began, status == 200 and body:sub(1, 32) or "-"))
end
