"""What a Redis does with the grants on one device, in one step that nobody comes between.

One hash per device: ``h:<holder>`` is a holder, ``w:<holder>`` a wish, ``fence`` and ``place``
count. A holder's fence is the number of its grant: whoever comes back after the grant ran out has
a number that is no longer in force, and must ask anew. Where the device has no figures of its own
(``keep``), what a silent holder said it holds still counts until its process is known to be dead.
"""

from __future__ import annotations

SCRIPT = """
local key, op, me = KEYS[1], ARGV[1], ARGV[2]
local said = cjson.decode(ARGV[3])
local now = said.now_ms
if not now then
  local t = redis.call('TIME')
  now = t[1] * 1000 + math.floor(t[2] / 1000)
end
local holders, wishes = {}, {}
local rows = redis.call('HGETALL', key)
for i = 1, #rows, 2 do
  local kind, id = string.sub(rows[i], 1, 2), string.sub(rows[i], 3)
  if kind == 'h:' or kind == 'w:' then
    local one = cjson.decode(rows[i + 1])
    local over = one.ends_ms <= now
    if kind == 'w:' then
      if over then redis.call('HDEL', key, rows[i]) else wishes[id] = one end
    elseif over and not said.keep then
      redis.call('HDEL', key, rows[i])
    else
      if over and one.fence > 0 then
        one.fence, one.grant = 0, 0
        redis.call('HSET', key, rows[i], cjson.encode(one))
      end
      holders[id] = one
    end
  end
end

local mine = holders[me]
local live = mine and mine.fence > 0 and mine.fence == said.fence
local grant = live and math.min(mine.grant, said.grant) or 0
local granted = false

local function claim(one)
  return one and math.max(one.grant, one.held) or 0
end

local function write(fence, size)
  redis.call('HSET', key, 'h:' .. me, cjson.encode({
    name = said.name, host = said.host, pid = said.pid, fence = fence, grant = size,
    held = said.held, idle = said.idle, idle_ms = said.idle_ms,
    since_ms = mine and mine.since_ms or now, ends_ms = now + said.lasts_ms}))
end

local function fits()
  if live and said.target <= grant then return true end
  local claimed, held, ahead = 0, 0, 0
  for id, one in pairs(holders) do
    if id ~= me then
      claimed, held = claimed + claim(one), held + one.held
    end
  end
  for id, wish in pairs(wishes) do
    if id ~= me and not said.holds and (not wishes[me] or wish.place < wishes[me].place) then
      ahead = ahead + math.max(0, wish.target - claim(holders[id]))
    end
  end
  local foreign = math.max(0, said.others - held)
  return claimed + foreign + ahead + said.target <= said.limit
end

if op == 'tell' then
  granted = live
  if live then
    write(said.fence, grant)
  elseif not said.confirm then
    write(0, 0)
  end
elseif op == 'ask' then
  granted = fits()
  if granted then
    local fence = live and said.fence or redis.call('HINCRBY', key, 'fence', 1)
    live, grant = true, math.max(grant, said.target)
    write(fence, grant)
    redis.call('HDEL', key, 'w:' .. me)
  else
    write(live and said.fence or 0, grant)
    if said.wish then
      local old = wishes[me]
      redis.call('HSET', key, 'w:' .. me, cjson.encode({
        name = said.name, pid = said.pid, target = said.target, holds = said.holds,
        place = old and old.place or redis.call('HINCRBY', key, 'place', 1),
        since_ms = old and old.since_ms or now, ends_ms = now + said.lasts_ms}))
    end
  end
elseif op == 'withdraw' then
  redis.call('HDEL', key, 'w:' .. me)
elseif op == 'leave' then
  redis.call('HDEL', key, 'h:' .. me, 'w:' .. me)
elseif op == 'bury' then
  for _, id in ipairs(said.dead) do
    redis.call('HDEL', key, 'h:' .. id, 'w:' .. id)
  end
end
redis.call('EXPIRE', key, 86400)
return {granted and 1 or 0, live and 1 or 0, now, redis.call('HGETALL', key)}
"""
