"""A producer of the partitioned queue: needs exactly 200, and tries three times more.

partitioned_producer.py URL_FILE TOPIC PARTITION SECONDS
Prints the id of each message that was acknowledged. Ends with 1 if one was not.
"""

import json
import sys
import time
import urllib.request

url_file, topic, partition, seconds = sys.argv[1:]
PAUSE_SECONDS = 2.0


def produce(payload):
    with open(url_file) as file:
        url = f"{file.read()}/produce?topic={topic}&partition={partition}"
    body = json.dumps({"payload": payload}).encode()
    request = urllib.request.Request(url, data=body, method="POST")
    with urllib.request.urlopen(request, timeout=10) as answer:
        if answer.status != 200:
            raise OSError(f"status {answer.status}")
        return json.load(answer)["id"]


def produce_or_retry(payload):
    for _ in range(3):
        try:
            return produce(payload)
        except OSError as error:
            print(f"{payload}: {error}", file=sys.stderr)
            time.sleep(PAUSE_SECONDS)
    return produce(payload)


end = time.monotonic() + float(seconds)
number = 0
while time.monotonic() < end:
    print(produce_or_retry(f"{partition}-{number}"), flush=True)
    number += 1
