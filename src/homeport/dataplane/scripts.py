"""What the proxy has no words for, as small scripts (Lua) that only the routes run which need them.

A route says its script's name and gives it a context; the scripts themselves never change.
"""

from __future__ import annotations

from typing import Any

from homeport.dataplane.types import typed

REDIRECT = "redirect"
SESSION = "session"
LUA = "envoy.filters.http.lua"

_REDIRECT = """
function envoy_on_request(handle)
  local to = handle:filterContext()
  local headers = handle:headers()
  local path = headers:get(":path") or "/"
  local authority = headers:get(":authority") or ""
  local query = path:match("%?(.*)$") or ""
  local own = {
    protocol = to:get("from_protocol"), port = to:get("from_port"), query = query,
    host = authority:match("^(%[[^%]]*%])") or authority:match("^([^:]*)") or "",
    path = path:match("^/?([^%?]*)"),
  }
  local function fill(text) return (text:gsub("#{(%a+)}", own)) end
  local url = fill(to:get("protocol")):lower() .. "://" .. fill(to:get("host"))
  url = url .. ":" .. fill(to:get("port")) .. fill(to:get("path"))
  query = fill(to:get("query"))
  if query ~= "" then url = url .. "?" .. query end
  local answer = {[":status"] = to:get("status"), ["location"] = url, ["content-type"] = "text/html"}
  if to:get("server") ~= "" then answer["server"] = to:get("server") end
  handle:respond(answer, "")
end
"""

_SESSION = """
local function cookie(headers, name)
  local line = headers:get("cookie")
  if not line then return nil end
  for part in line:gmatch("[^;]+") do
    local key, value = part:match("^%s*([^=]+)=(.*)$")
    if key == name then return (value:gsub('^"(.*)"$', "%1")) end
  end
  return nil
end

local function without(line, name)
  local kept = {}
  for part in line:gmatch("[^;]+") do
    if part:match("^%s*([^=]*)") ~= name then kept[#kept + 1] = part:match("^%s*(.-)%s*$") end
  end
  return table.concat(kept, "; ")
end

function envoy_on_request(handle)
  local as = handle:filterContext()
  local headers = handle:headers()
  local name = as:get("cookie")
  if not name then return end
  local value = cookie(headers, name)
  if not value and as:get("cors") then
    value = cookie(headers, as:get("cors"))
    if value then headers:replace("cookie", headers:get("cookie") .. "; " .. name .. "=" .. value) end
  end
  if value and as:get("app") and not cookie(headers, as:get("app")) then
    headers:replace("cookie", without(headers:get("cookie"), name))
    value = nil
  end
  if value then handle:streamInfo():dynamicMetadata():set("homeport", "session", value) end
end

local function give(headers, name, cors, value, seconds)
  local rest = "=" .. value
  if seconds > 0 then
    rest = rest .. "; Expires=" .. os.date("!%a, %d %b %Y %H:%M:%S GMT", os.time() + seconds)
  end
  rest = rest .. "; Path=/"
  headers:add("set-cookie", name .. rest)
  if cors then headers:add("set-cookie", cors .. rest .. "; SameSite=None; Secure") end
end

function envoy_on_response(handle)
  local as = handle:filterContext()
  local headers = handle:headers()
  local group = as:get("group")
  if group then give(headers, "AWSALBTG", "AWSALBTGCORS", group, as:get("group_seconds")) end
  local name = as:get("cookie")
  if not name then return end
  local kept, fresh, app = {}, nil, as:get("app") == nil
  for i = 0, headers:getNumValues("set-cookie") - 1 do
    local line = headers:getAtIndex("set-cookie", i)
    local key, value = line:match('^([^=]+)="?([^";]*)')
    if key == name then fresh = value else
      kept[#kept + 1] = line
      if key == as:get("app") then app = true end
    end
  end
  if fresh then
    headers:remove("set-cookie")
    for _, line in ipairs(kept) do headers:add("set-cookie", line) end
  end
  local before = (handle:streamInfo():dynamicMetadata():get("homeport") or {})["session"]
  if app then
    local value = fresh or (not as:get("once") and before)
    if value then give(headers, name, as:get("cors"), value, as:get("seconds")) end
  end
end
"""


def lua_filter() -> dict[str, Any]:
    """The filter with all scripts, off wherever a route does not ask for one."""
    sources = {REDIRECT: {"inline_string": _REDIRECT}, SESSION: {"inline_string": _SESSION}}
    config = typed("envoy.extensions.filters.http.lua.v3.Lua", source_codes=sources)
    return {"name": LUA, "typed_config": config, "disabled": True}


def run(script: str, context: dict[str, Any]) -> dict[str, Any]:
    """What a route says to have `script` run with `context`."""
    config = typed("envoy.extensions.filters.http.lua.v3.LuaPerRoute", name=script, filter_context=context)
    return {LUA: typed("envoy.config.route.v3.FilterConfig", config=config)}
