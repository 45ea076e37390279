"""Clients of the publish/consume broker, by requests. Argument: the broker's URL."""

import sys
import threading
import time

import requests

url = sys.argv[1]
C = {"load_balancing": "fair_dispatch", "broker": "custom_durable_file_backed"}


def post(path, body):
    return requests.post(url + path, json=body, timeout=10)


def get(path, **query):
    return requests.get(url + path, params=query, timeout=10)


def messages(address, **query):
    answer = get(f"/consume/{address}", **query)
    assert answer.status_code == 200, answer.text
    assert {name: answer.json()[name] for name in C} == C
    return answer.json()["messages"]


def wait_for(address, seconds=10):
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        for message in messages(address):
            return message
        time.sleep(0.01)
    raise AssertionError(f"nothing came to {address}")


health = get("/health").json()
assert health["status"] == "healthy" and C.items() <= health.items(), health

services = ["billing", "stock", "mail", "audit", "search"]
for service in services:
    answer = post("/register", {"service_name": service, "topics": ["orders", "returns"]})
    assert answer.json() == {"status": "ok", "registered_topics": ["orders", "returns"], **C}

for number in range(10):
    answer = post("/publish", {"topic": "orders", "message": {"n": number, "text": "grüße"}})
    assert answer.json() == {"status": "ok", "delivered_to": 5, **C}
for service in services:
    own = messages(f"orders.{service}", max_messages=100)
    assert [message["payload"]["n"] for message in own] == list(range(10)), own
    assert set(own[0]) == {"id", "topic", "payload"}, own[0]
assert len(messages("orders", max_messages=100)) == 10
assert messages("nobody-knows") == []


def answer_requests():
    for _ in range(20):
        request = wait_for("sums")
        post("/publish", {"topic": request["reply_to"], "message": {"sum": sum(request["payload"]["of"])}})


worker = threading.Thread(target=answer_requests)
worker.start()
for number in range(20):
    reply_to = f"reply.{number}"
    post("/publish", {"topic": "sums", "message": {"of": [1, number]}, "reply_to": reply_to})
    assert wait_for(reply_to)["payload"] == {"sum": 1 + number}
worker.join()

refused = post("/publish", {"topic": 5})
assert refused.status_code == 422
assert [(problem["type"], problem["loc"]) for problem in refused.json()["detail"]] == [
    ("string_type", ["body", "topic"]),
    ("missing", ["body", "message"]),
]

letter = {"id": "m-1", "topic": "orders", "payload": {"n": 1}, "reason": "no stock", "attempt_count": 3}
assert post("/deadletter/publish", letter).json() == {"ok": True, **C}
assert post("/deadletter/publish", {"topic": "returns", "timestamp_ms": 7}).json()["ok"]
listed = get("/deadletter/list", limit=100).json()
assert listed["count"] == 2 and listed["items"][0]["timestamp_ms"] == 7, listed
assert letter.items() <= get("/deadletter/list/orders").json()["items"][0].items()

print("every exchange as expected")
