-- wrk -t1 -c16 -d5s --latency -s wrk-publish.lua http://127.0.0.1:5100/publish
-- BODY replaces the 200-byte JSON object.
local head = '{"stamp":"@t=00000000001234567890#000000000042@","device":"sensor-0042",'
    .. '"kind":"temperature","value":21.4375,"ok":true,"tags":["a","b"],"pad":"'
wrk.method = "POST"
wrk.headers["Content-Type"] = "application/json"
wrk.body = os.getenv("BODY") or head .. string.rep("x", 200 - #head - 2) .. '"}'
