"""The native API by requests: publish, lease, ack. Argument: the broker's URL."""

import sys

import requests

url = sys.argv[1]
published = requests.post(f"{url}/v1/topics/greetings/messages", json={"text": "grüße"}, timeout=10)
assert published.status_code == 201, published.text

group = f"{url}/v1/topics/greetings/groups/readers"
leased = requests.post(f"{group}/lease", params={"wait": "5s"}, timeout=10).json()["messages"]
assert [message["payload"] for message in leased] == [{"text": "grüße"}], leased

acked = requests.post(f"{group}/ack", json={"receipts": [leased[0]["receipt"]]}, timeout=10)
assert acked.json()["results"][0]["status"] == "acked", acked.text
print("acked", published.json()["id"] == leased[0]["id"])
