"""Clients of the partitioned broker's gateway, by requests. Argument: the broker's URL."""

import re
import sys

import requests

url = sys.argv[1] + "/api/python"


def pulled(address):
    """As its client library does: strips the brackets, then cuts."""
    answer = requests.post(f"{url}/{address}", timeout=10)
    assert answer.status_code == 200, answer.text
    assert answer.text[0] == "[" and answer.text[-1] == "]", answer.text
    return re.findall(r"key:(.*?)-value:(.*?)(?:, |$)", answer.text[1:-1])


assert requests.post(f"{url}/subscribe", timeout=10).text == "OK"
sent = {}
for number in range(90):
    key, value = f"k{number % 9}", f"v{number}"
    answer = requests.post(f"{url}/push", json={"key": key, "message": value}, timeout=10)
    assert (answer.status_code, answer.text) == (200, "Pushed to Queue")
    sent.setdefault(key, []).append(value)

received = {}
for key, value in pulled("pull"):
    received.setdefault(key, []).append(value)
while batch := pulled("pull-as-subscriber"):
    for key, value in batch:
        received.setdefault(key, []).append(value)
assert received == sent, received
assert pulled("pull") == []
assert requests.get(f"{url}/pull", timeout=10).status_code == 405
print("every exchange as expected")
