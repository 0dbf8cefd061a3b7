-- What wrk sends: one tools/call after the other, each with an id of its own, spread over many sessions.
-- Arguments after "--": the body with %s where its id belongs, and the number of sessions.
local body, sessions, number

function init(args)
  body, sessions, number = args[1], tonumber(args[2]), 0
  wrk.headers["Content-Type"] = "application/json"
  wrk.headers["Accept"] = "application/json, text/event-stream"
  wrk.headers["MCP-Protocol-Version"] = "2025-11-25"
end

function request()
  number = number + 1
  wrk.headers["Mcp-Session-Id"] = "load-" .. number % sessions
  return wrk.format("POST", "/mcp", nil, body:format(number))
end

function done(summary, latency)
  local errors = summary.errors
  io.write(string.format(
    '{"requests": %d, "seconds": %f, "p50_us": %d, "p99_us": %d, "errors": %d}\n',
    summary.requests, summary.duration / 1e6, latency:percentile(50), latency:percentile(99),
    errors.connect + errors.read + errors.write + errors.status + errors.timeout))
end
